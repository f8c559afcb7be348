"""What is known of a fact, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from common.star_model import Star
from run.explain import Explanation
from run.explain_input import InputRow


def as_json(found: Explanation, star: Star) -> str:
    """All of it, as a JSON object."""
    known = found.star
    told: dict[str, Any] = {
        "key": found.key,
        "state": found.state,
        "table": star.fact.name,
        "fact": known.fact,
        "members": {member.key.name: member.row for member in known.members},
        "run": None,
        "file": found.file,
        "line": found.line,
        "original": None if found.original is None else asdict(found.original),
        "changes": [asdict(change) for change in known.changes],
        "removed_uncounted": [{"run_id": run_id, "rows": rows} for run_id, rows in known.uncounted],
        "refusals": [asdict(refusal) for refusal in found.refusals],
        "input": None,
        "near": found.near,
        "problems": found.problems,
        "exit_code": found.exit_code,
    }
    if known.run is not None:
        run = known.run
        told["run"] = {
            "run_id": run.run_id, "started_at": run.started_at, "status": run.status,
            "version": run.code_version,
        }  # fmt: skip
    if found.input is not None:
        told["input"] = {
            "records": found.input.records,
            "files": found.input.files,
            "is_part": found.input.is_part,
            "rows": [_row(row) for row in found.input.rows],
        }
    return json.dumps(told, indent=2, default=_text)


def _row(row: InputRow) -> dict[str, Any]:
    own = {name: value for name, value in vars(row).items() if name != "wins"}
    wins = None if row.wins is None else {"file": row.wins.file, "line": row.wins.line}
    return {**own, "wins": wins}


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not shown as JSON")
