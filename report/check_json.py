"""What `check` has found, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.outcomes import plain
from config import StarSchemaConfig
from report.check_text import NOT_JUDGED, warnings_of
from run.check import Findings, Refusal, Sample, SourceFindings
from sources.pieces import OpenSource

VERDICTS = {0: "would_publish", 2: "cannot_start", 3: "would_be_refused"}
"""By exit code."""


def as_json(
    findings: Findings, config: StarSchemaConfig, proposed: Sequence[str] = ()
) -> dict[str, Any]:
    """All of it, in values that `json.dumps` takes with `default=str`."""
    return {
        "verdict": VERDICTS[findings.exit_code],
        "exit_code": findings.exit_code,
        "reasons": list(findings.over_limit),
        "asks_warehouse": findings.asks_warehouse,
        "rows_looked_at": findings.rows,
        "sources": {
            name: _source(found, config, findings) for name, found in findings.sources.items()
        },
        "not_configured": [s.name for s in config.star.sources if s.name not in findings.sources],
        "warehouse": {
            "url": config.warehouse_url.render_as_string(hide_password=True),
            "fits": findings.fits,
            "found": [line.strip() for line in findings.warehouse[1:]],
            "places": list(findings.places),
        },
        "not_judged": NOT_JUDGED,
        "proposed": list(proposed),
    }


def _source(found: SourceFindings, config: StarSchemaConfig, findings: Findings) -> dict[str, Any]:
    looked, cleaned = found.looked, found.cleaned
    settings = config.source(looked.name)
    strangers = [each for each in findings.strangers if cleaned and cleaned.about.describes_facts]
    return {
        "files": [_file(file) for file in looked.opened],
        "encoding": settings.encoding,
        "date_formats": list(settings.date_formats),
        "decimal_separator": settings.decimal_separator,
        "mapping": looked.mapping,
        "not_used": looked.unused() if looked.mapping is not None else [],
        "inside": found.inside,
        "read": None if cleaned is None else cleaned.read,
        "accepted": None if cleaned is None else cleaned.rows,
        "duplicates": 0 if cleaned is None else cleaned.duplicates,
        "left_out": 0 if cleaned is None else cleaned.skipped + sum(cleaned.removing),
        "rejected": {
            reason: _refusal(refusal, found.advice.get(reason, ""))
            for reason, refusal in found.refusals.items()
        },
        "not_usable": {
            name: {"rows": rows, "advice": found.advice.get(name, "")}
            for name, rows in (cleaned.issues if cleaned else {}).items()
        },
        "strangers": [plain(each) for each in strangers],
        "sample": _sample(found.sample),
        "warnings": list(warnings_of(found)),
        "problems": list(looked.problems),
    }


def _file(file: OpenSource) -> dict[str, Any]:
    columns, delimiter = list(file.columns), file.delimiter or None
    return {"path": file.label, "format": file.format, "delimiter": delimiter, "columns": columns}


def _refusal(refusal: Refusal, advice: str) -> dict[str, Any]:
    first = [{"file": p.label, "line": p.line, "detail": p.detail} for p in refusal.first]
    return {"rows": refusal.rows, "advice": advice, "first": first}


def _sample(sample: Sample | None) -> dict[str, Any]:
    if sample is None:
        return {"read": [], "stored": []}
    return {"read": sample.read.to_pylist(), "stored": sample.stored.to_pylist()}
