"""The JSON Schema of `star.toml`, by which editors complete it and mark mistakes."""

from __future__ import annotations

import json
from typing import Any

from common.setting_files import VERSION
from common.source_settings import SourceSettings
from config import setting_kinds, setting_names
from schema import STAR


def settings_schema() -> str:
    """The text of `docs/star.schema.json`."""
    kinds = setting_kinds(setting_names())
    parts = setting_kinds(SourceSettings.model_fields)
    sources = {
        source.name: _table(
            [part for part in parts if f"{source.name}__{part}".upper() in kinds],
            f"where the {source.name} are, and how they are read",
        )
        for source in STAR.sources
    }
    orders = _table(parts, "orders that a source is joined with")
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Settings of the star-schema ETL",
        "type": "object",
        "properties": {
            "version": {"const": VERSION, "description": "of the form of this file"},
            **{name.lower(): kind for name, kind in kinds.items() if "__" not in name},
            "sources": {
                "type": "object",
                "description": "where each source is, and how it is read",
                "properties": sources,
                "additionalProperties": orders,
            },
        },
        "required": ["version"],
        "additionalProperties": False,
        "definitions": parts,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _table(parts: Any, description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": {part: {"$ref": f"#/definitions/{part}"} for part in parts},
        "additionalProperties": False,
    }
