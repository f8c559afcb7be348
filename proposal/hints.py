"""What `check` says of settings that are at fault: those that `setup` would propose."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from common.source_settings import SourceSettings
from config import StarSchemaConfig
from errors import EtlError
from proposal.applied import KEPT, as_decided, as_text
from proposal.proof import Prover
from proposal.propose import propose
from proposal.toml_text import setting_lines


def hints(config: StarSchemaConfig, accepted: Mapping[str, int], *, in_tables: bool) -> list[str]:
    """Settings for sources that are at fault, of which so many rows are `accepted` as they are set;
    as `star.toml` has them, or else as `.env`. None where no look at the files helps.
    """
    files = {name for name in accepted if isinstance(config.source(name).path, str)}
    if not files:
        return []
    try:
        tried = Prover()
        proposal = as_decided(propose([], config, tried))
        proof = tried(proposal, config)
    except EtlError:  # of other sources, which are told of
        return []
    lines: list[str] = []
    for name in sorted(files & proposal.sources.keys() & proof.sources.keys()):
        source, settings = proposal.sources[name], config.source(name)
        if source.path != settings.path or proof.sources[name].accepted <= accepted[name]:
            continue
        changed = {n: v for n, v in source.settings.items() if v != getattr(settings, n)}
        found = proof.sources[name]
        rows = f"{found.accepted:,} of {found.read:,} rows"
        lines += ["", f"`python main.py setup` proposes for {name}, with which {rows} would load:"]
        lines += _as_tables(name, changed) if in_tables else _as_env(name, changed)
        if lost := list(_lost(settings, source.settings)):
            lines.append(f"  and without {', '.join(lost)}")
    return lines


def _lost(settings: SourceSettings, proposed: Mapping[str, Any]) -> Iterator[str]:
    """The settings that are in the way."""
    for name, field in SourceSettings.model_fields.items():
        is_set = getattr(settings, name) != field.get_default(call_default_factory=True)
        if is_set and name not in (*proposed, *KEPT, "path"):
            yield name


def _as_tables(name: str, settings: Mapping[str, Any]) -> list[str]:
    return [f"  [sources.{name}]", *(f"  {line}" for line in setting_lines(settings))]


def _as_env(name: str, settings: Mapping[str, Any]) -> list[str]:
    """Lines for `.env`, where what is no plain word stands in quotes."""
    lines = []
    for part, value in settings.items():
        text = as_text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        is_plain = text.isalnum() or text in (",", ".", ";", "|")
        quoted = "'{}'".format(text.replace("\\", "\\\\").replace("'", "\\'"))
        lines.append(f"  {name.upper()}__{part.upper()}={text if is_plain else quoted}")
    return lines
