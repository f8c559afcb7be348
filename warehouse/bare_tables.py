"""Tables as they are made before they are loaded."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import MetaData, Table


def without_keys(table: Table) -> Table:
    """A table of the same name and columns, with NOT NULL but without keys, indexes, references."""
    columns = [sa.Column(c.name, c.type, nullable=c.nullable) for c in table.columns]
    return Table(table.name, MetaData(), *columns)
