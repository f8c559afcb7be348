"""What a run has read: files and tables, with their fingerprints, and how they are mapped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from common.source_settings import SourceSettings
from pages.shown import count
from pages.story import Story

_UNTOLD = ("path", "query", "columns")
"""Settings that are shown elsewhere, or may hold more than is meant for a page."""


@dataclass(frozen=True)
class File:
    """A file or table that was read."""

    path: str
    format: str
    records: str
    sha256: str


@dataclass(frozen=True)
class Input:
    """What was read of a source."""

    name: str
    setting: str
    records: str
    files: list[File] = field(default_factory=list)
    mapping: list[tuple[str, str]] = field(default_factory=list)
    """Column of ours, and what of the source it is made of; those of the same name left out."""
    settings: list[tuple[str, str]] = field(default_factory=list)
    """Other settings that are not as they are by themselves."""


def inputs(story: Story) -> list[Input]:
    """The sources of the run of a story."""
    extraction = story.summary.outcomes.extraction
    star = story.config.star
    called = {source.name: source.called for source in star.sources}
    read = {n: (s.records, s.files) for n, s in extraction.sources.items()} if extraction else {}
    for name, files in story.run.sources.items():
        if name not in read and isinstance(files, list):
            records = [file.get("records") for file in files if isinstance(file, dict)]
            known = [number for number in records if isinstance(number, int)]
            read[name] = (sum(known), [file for file in files if isinstance(file, dict)])
    return [
        _input(name, called.get(name, name), records, files, story)
        for name, (records, files) in read.items()
    ]


def _input(
    name: str, called: str, records: int, files: list[dict[str, Any]], story: Story
) -> Input:
    settings = story.config.sources.get(name)
    return Input(
        called,
        name.upper(),
        count(records),
        [
            File(
                str(file.get("path", "")),
                str(file.get("format", "")),
                count(file.get("records") or 0),
                str(file.get("sha256") or ""),
            )
            for file in files
        ],
        _mapping(settings) if settings else [],
        _others(settings) if settings else [],
    )


def _mapping(settings: SourceSettings) -> list[tuple[str, str]]:
    return [(column, _rule(rule)) for column, rule in settings.columns.items() if rule != column]


def _rule(rule: Any) -> str:
    """What a column is made of, in words."""
    if isinstance(rule, list):
        return " + ".join(map(str, rule))
    if isinstance(rule, dict):
        if "any" in rule:
            return " or ".join(map(str, rule["any"]))
        if "value" in rule:
            return f"always {rule['value']!r}"
    return str(rule)


def _others(settings: SourceSettings) -> list[tuple[str, str]]:
    found = []
    for name, kind in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name not in _UNTOLD and value and value != kind.get_default(call_default_factory=True):
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            found.append((name.upper(), shown))
    return found
