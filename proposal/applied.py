"""Proposed settings on top of those that are in force, checked as any others are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.source_settings import SourceSettings
from config import StarSchemaConfig, checked
from proposal.model import Choice, Proposal, Question

KEPT = ("query", "extract", "period", "watermark", "lag", "split_by", "currency", "null_tokens")
"""What a proposal leaves alone: no look at a file tells it."""


def with_proposal(config: StarSchemaConfig, proposal: Proposal) -> StarSchemaConfig:
    """The settings of a run with what is proposed.

    A source that is proposed has what is proposed, and of its former settings those that no look
    at a file tells, if it is still the same. One that is not proposed stays as it is set; where it
    is not set, there is none. Raises `ConfigError` with all that is wrong with a proposed setting.
    """
    made = checked(by_name(proposal), config.star)
    sources = {
        name: settings
        for name, settings in config.sources.items()
        if name not in proposal.sources and is_set(config, name)
    }
    for name in proposal.sources:
        sources[name] = made.source(name).model_copy(update=kept(config, name, proposal))
    for source in config.star.sources:
        sources.setdefault(source.name, SourceSettings(path=None))
    general = {name: getattr(made, name) for name in proposal.general}
    return config.model_copy(update={"sources": sources, **general})


def is_set(config: StarSchemaConfig, name: str) -> bool:
    """Whether somebody has said where a source is: the samples are nobody's."""
    declared = {source.name: source.path for source in config.star.sources}
    return config.source(name).path not in (None, declared.get(name))


def kept(config: StarSchemaConfig, name: str, proposal: Proposal) -> dict[str, Any]:
    """The settings of a source that a proposal for the same files leaves as they are."""
    proposed = proposal.sources[name]
    before = config.sources.get(name)
    if before is None or str(before.path) != proposed.path:
        return {}
    fixed = {"path": before.path} | {part: getattr(before, part) for part in KEPT}
    return {
        part: value
        for part, value in fixed.items()
        if part in before.model_fields_set and part not in proposed.settings
    }


def by_name(proposal: Proposal) -> dict[str, Any]:
    """The proposed settings by their names as in `.env`."""
    given = {name.upper(): value for name, value in proposal.general.items()}
    for name, source in proposal.sources.items():
        parts = {"path": source.path, **source.settings}
        given |= {f"{name}__{part}".upper(): value for part, value in parts.items()}
    return given


def as_text(value: Any) -> str:
    """A value as a line of `.env` has it."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def answered(proposal: Proposal, question: Question, choice: Choice) -> Proposal:
    """The proposal with the settings that an answer means, and without the question."""
    left = [other for other in proposal.questions if other is not question]
    if not question.source:
        general = _without_blanks({**proposal.general, **choice.settings})
        return replace(proposal, general=general, questions=left)
    source = proposal.sources[question.source]
    settings = _without_blanks({**source.settings, **choice.settings})
    if columns := choice.settings.get("columns"):
        settings["columns"] = _without_blanks({**source.settings.get("columns", {}), **columns})
    sources = {**proposal.sources, source.name: replace(source, settings=settings)}
    return replace(proposal, sources=sources, questions=left)


def as_decided(proposal: Proposal) -> Proposal:
    """The proposal without the settings that its open questions are about: a run shall not go by
    what nobody has decided.
    """
    general, sources = dict(proposal.general), dict(proposal.sources)
    for question in proposal.questions:
        for choice in question.choices:
            if not question.source:
                general = {n: v for n, v in general.items() if n not in choice.settings}
            elif question.source in sources:
                source = sources[question.source]
                settings = _without(source.settings, choice.settings)
                sources[question.source] = replace(source, settings=settings)
    return replace(proposal, general=general, sources=sources)


def _without(settings: dict[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` without those that an answer sets; of the columns only those that it names."""
    left = {name: value for name, value in settings.items() if name not in asked}
    if "columns" in asked:
        columns = {
            n: v for n, v in settings.get("columns", {}).items() if n not in asked["columns"]
        }
        left |= {"columns": columns} if columns else {}
    return left


def _without_blanks(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without those that an answer takes away."""
    return {name: value for name, value in settings.items() if value is not None}
