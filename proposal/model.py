"""A proposal of settings: by source, with what speaks for each, and what is not known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass
class SourceProposal:
    """The settings that a source needs."""

    name: str
    """What the source is called in the settings, such as `transactions`."""
    path: str
    settings: dict[str, Any] = field(default_factory=dict)
    """By name in lower case, as in `star.toml`; without the path, and without defaults."""
    evidence: dict[str, str] = field(default_factory=dict)
    """By setting, or by column of ours: what speaks for it, for people."""
    unknown: list[str] = field(default_factory=list)
    """What could not be found out, for people; each becomes a comment in `star.toml`."""


@dataclass(frozen=True)
class Choice:
    """One answer to a question: its text, and the settings that it means. A setting, or a column,
    that is None is taken away.
    """

    text: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """What only a person can tell. Without an answer the proposal is not complete; its settings are
    those of the first choice.
    """

    source: str
    """Whose settings the choices are; blank for settings of no source."""
    text: str
    choices: tuple[Choice, ...]


@dataclass
class Proposal:
    """Settings for files that were looked at."""

    sources: dict[str, SourceProposal] = field(default_factory=dict)
    """By name, in the order of the star's sources; an order file that is joined comes last."""
    general: dict[str, Any] = field(default_factory=dict)
    """Settings of no source, such as `accept_returns`."""
    questions: list[Question] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Why there can be no run with it: a source that was not found, a file that cannot be read."""
    unused: dict[str, str] = field(default_factory=dict)
    """Files that nothing is made of, and why."""


@dataclass
class SourceProof:
    """What became of all rows of a source under proposed settings."""

    read: int
    accepted: int
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason."""
    examples: dict[str, str] = field(default_factory=dict)
    """By reason: the file, the line and the value of one."""
    duplicates: int = 0
    skipped: int = 0
    issues: Counter[str] = field(default_factory=Counter)
    """By attribute: values that cannot be read, and would be left empty."""
    warnings: list[str] = field(default_factory=list)
    net: dict[str, Decimal] = field(default_factory=dict)
    """The net amount of the accepted sales, by currency; '' where none is known."""
    strangers: dict[str, int] = field(default_factory=dict)
    """By reference: how many sales name a member that its source lacks."""
    nameless: dict[str, int] = field(default_factory=dict)
    """By reference: how many sales name no member."""


@dataclass
class Proof:
    """What a run with proposed settings would find; nothing was kept."""

    sources: dict[str, SourceProof] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Why it could not be tried: the problems of the extraction, or of the settings."""
    refused: list[str] = field(default_factory=list)
    """Why a run would be refused."""
