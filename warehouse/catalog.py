"""A table as it is in the warehouse. Each engine reads its own catalog for it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PresentColumn:
    """A column that is there."""

    type: str
    is_nullable: bool
    note: str = ""
    """Its comment."""


@dataclass
class Relation:
    """A table or a view that is there, or whatever else has its name."""

    kind: str
    """`table` or `view`, or else what the engine calls it."""
    comment: str
    may_alter: bool = True
    """Whether our role owns it."""
    columns: dict[str, str] = field(default_factory=dict)
    """In their order, each with its comment, where they were asked for."""


@dataclass(frozen=True)
class Reference:
    """A foreign key that is there."""

    name: str
    target: str
    """Table and column, with the schema in front if it is another one."""
    is_valid: bool
    """Whether the engine has checked it for all rows, not for new ones only."""


@dataclass
class PresentTable:
    """A table that is there. Keys and indexes are filled in if `keys_are_known`."""

    columns: dict[str, PresentColumn]
    may_alter: bool = True
    may_load: bool = True
    may_delete: bool = True
    keys_are_known: bool = False
    misplaced: str = ""
    """What is wrong with the machines that its rows are on, and what changes it."""
    primary_key: str = ""
    unique: set[str] = field(default_factory=set)
    unique_indexes: dict[str, str] = field(default_factory=dict)
    """Column -> name of an index that proves it unique."""
    references: dict[str, Reference] = field(default_factory=dict)
    indexed: set[str] = field(default_factory=set)
