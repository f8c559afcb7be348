"""What tables look like in a warehouse, as the catalog of each engine tells."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PresentColumn:
    """A column that is there."""

    type: str
    is_nullable: bool
    note: str = ""
    """Its comment."""


@dataclass(frozen=True)
class Reference:
    """A foreign key that is there."""

    name: str
    target: str
    """Table and column, with the schema in front if it is another one."""
    is_valid: bool
    """Whether the engine has proven it of all rows."""


@dataclass
class PresentTable:
    """A table that is there; its keys and indexes only where the engine declares them."""

    columns: dict[str, PresentColumn]
    may_alter: bool = True
    may_load: bool = True
    keys_are_told: bool = False
    primary_key: str = ""
    unique: set[str] = field(default_factory=set)
    unique_indexes: dict[str, str] = field(default_factory=dict)
    """Column -> name of an index that proves it unique."""
    references: dict[str, Reference] = field(default_factory=dict)
    indexed: set[str] = field(default_factory=set)
