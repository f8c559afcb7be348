"""The limit of rejects: a load that has more is refused, with the advice that `check` gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

import pyarrow.compute as pc

from common.results import DETAIL, REASON, Clean
from common.star_model import references, unknown_reason
from config import StarSchemaConfig
from errors import GateError
from run.check_advice import Adviser
from run.clean_source import CleanSource
from run.refused import in_file_order
from run.staging import over_the_limit
from run.summary import RunSummary
from sources.raw_source import RawSource

_BATCHES = 16
"""So many batches with rejects are looked at."""
_DETAILS = 200
"""Of each reason so many details."""


def refuse_too_many(
    summary: RunSummary,
    config: StarSchemaConfig,
    extracted: Mapping[str, RawSource],
    cleaned: Mapping[str, CleanSource],
    cleaning: Callable[[StarSchemaConfig], Clean],
) -> None:
    """Raises `GateError` where a source has more rejects than MAX_REJECT_RATE allows. The summary
    has then, by reason, what would help: `cleaning` gives the rules under changed settings, and the
    working folder must still be there.
    """
    limit = config.max_reject_rate
    refused = [source for source in cleaned.values() if over_the_limit([source], limit)]
    if refused:
        summary.advice = {
            source.name: _of_source(config, extracted[source.name], source, cleaning)
            for source in refused
        }
        place = summary.rejects_dir
        where = f"the rejected rows are in {place}" if place else "--rejects writes the rows"
        raise GateError(
            f"{'; '.join(over_the_limit(refused, limit))}; nothing was published, {where}"
        )


def _of_source(
    config: StarSchemaConfig,
    raw: RawSource,
    cleaned: CleanSource,
    cleaning: Callable[[StarSchemaConfig], Clean],
) -> dict[str, str]:
    adviser = Adviser(
        config, raw.name, {file["format"] for file in raw.files}, raw.batches[0].mapping,
        raw.canonical(0), cleaning,
    )  # fmt: skip
    unknown = {unknown_reason(key) for key in references(config.star.fact)}
    found = {
        reason: _OF_UNKNOWN
        if reason in unknown
        else adviser.for_reason(
            reason, details, share=cleaned.rejected[reason] / max(cleaned.read, 1)
        )
        for reason, details in _details(raw, cleaned).items()
    }
    return {reason: words for reason, words in found.items() if words}


_OF_UNKNOWN = "ORPHAN_POLICY=infer would load them, with members that are known by their id only"


def _details(raw: RawSource, cleaned: CleanSource) -> dict[str, list[str]]:
    """Some details of each reason."""
    found: dict[str, list[str]] = {}
    for call in islice(in_file_order(raw, cleaned.kept), _BATCHES):
        rows = call()
        for reason in pc.unique(rows[REASON]).to_pylist():
            details = found.setdefault(reason, [])
            chosen = rows[DETAIL].filter(pc.equal(rows[REASON], reason))
            details += [d or "" for d in chosen.slice(0, _DETAILS - len(details)).to_pylist()]
    return found
