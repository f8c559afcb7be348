"""What tables and columns mean, in words: for documents and pages, and as comments in a database.

The words are declared with the star, with names in backticks. There is no second text.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Column, Table

from common.star_model import ADDED_LATE

_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
_ASCII = str.maketrans({"…": "...", "→": "->"})
"""A database of an old encoding holds no other signs, and refuses a comment that has one."""
_OURS = frozenset({"", ADDED_LATE})
"""Comments that earlier versions gave a column: 0.1.0 to 0.6.0 gave no other than the second. A
description that changes is added here, so that the new one takes its place in a star in use.
"""


def meaning(described: Table | Column[Any]) -> str:
    """What a table or a column means; a name stands in backticks."""
    text = described.comment if isinstance(described, Table) else described.info.get("description")
    return text or described.name.replace("_", " ")


def in_full(described: Table | Column[Any]) -> str:
    """Its `meaning`, and whether it is personal."""
    return meaning(described) + "; personal" * bool(described.info.get("is_personal"))


def plain(text: str) -> str:
    """A text without backticks, links and signs of typography, as it is read where nobody makes
    anything of them.
    """
    return _LINK.sub(r"\1", text).replace("`", "").translate(_ASCII)


def comment_on(described: Table | Column[Any], there: str = "", of: str = "") -> str:
    """The comment of a table or a column, in place of the one that is `there`; a column among those
    of other tables says what it is `of`.

    A comment that somebody else wrote stays. A column that came after its rows goes on saying so.
    """
    if there not in _OURS and not there.endswith(f"; {ADDED_LATE}"):
        return there
    late = f"; {ADDED_LATE}" if there.endswith(ADDED_LATE) else ""
    return f"{of}: " * bool(of) + plain(in_full(described)) + late
