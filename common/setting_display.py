"""Settings for people who look at them: what differs from the default, and no secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from pydantic import SecretStr
from sqlalchemy import URL

from common.html import framed, table
from common.urls import without_secrets


def told(value: Any) -> str:
    """A value as `.env` has it, without what is secret in it."""
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, URL):
        return value.render_as_string()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else without_secrets(str(value)) or ""


def differing(config: Any, known: Mapping[str, tuple[Any, str]]) -> dict[str, Any]:
    """By name, as in `.env`, those of the `known` settings that are not as by default."""
    found = {}
    for name, (default, _) in known.items():
        source, _, part = name.lower().rpartition("__")
        value = getattr(config.source(source) if source else config, part)
        if value != default:
            found[name] = value
    return found


def settings_html(
    place: str, changed: Mapping[str, Any], known: Mapping[str, tuple[Any, str]]
) -> str:
    """The settings that differ from the default, as a table; `known` has the default and the
    meaning of all.
    """
    rows = [
        (name, told(value), told(known[name][0]), known[name][1]) for name, value in changed.items()
    ]
    head = f"<div><b>Settings</b> of a star in {escape(place)}</div>"
    titles = ("setting", "value", "default", "meaning")
    rest = f"{len(known) - len(rows)} settings are as by default: docs/settings.md lists them."
    shown = table(titles, rows, folded=(1, 3)) if rows else ""
    return framed(f"{head}{shown}<div class='dim'>{rest}</div>")
