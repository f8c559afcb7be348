"""What a run with proposed settings would find: all rows are read and cleaned, nothing is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pyarrow.compute as pc

from common.arrays import decoded, whole
from common.parallel import Workers
from common.progress import SILENT, Progress
from common.star_model import UNKNOWN_ID
from common.sums import plus, summed
from config import StarSchemaConfig
from errors import ConfigError
from extract import DataExtractor
from proposal.applied import by_name, with_proposal
from proposal.model import Proof, Proposal, SourceProof
from run.check import Refusal, refusals, strangers_in, working_folder
from run.clean_source import CleanSource
from run.currencies import judge
from run.staging import clean_sources, over_the_limit
from sources.raw_source import IGNORED, RawSource, ReadSource
from transform import batch_rules

_LONGEST = 60  # characters of a value that an example shows

Phase = Callable[[str], Progress]
"""Begins a phase of this name."""


def prove(
    proposal: Proposal,
    config: StarSchemaConfig,
    rows: int | None = None,
    phase: Phase = lambda name: SILENT,
) -> Proof:
    """Read and clean all rows of all sources with the proposed settings on top of `config`, or
    about the first `rows` of each. No warehouse is asked, and nothing is kept.

    What is wrong with the settings or with a file is in `problems`; other sources are tried all
    the same. Raises `SpoolError` when the working folder cannot be used.
    """
    try:
        tried = with_proposal(config, proposal)
    except ConfigError as error:
        return Proof(problems=error.problems)
    proof = Proof(problems=_absent(tried))
    with working_folder(tried.work_dir) as folder, Workers(tried.workers) as workers:
        looked = DataExtractor(tried).look(folder, phase("read"), rows, workers)
        proof.problems += [problem for source in looked.values() for problem in source.problems]
        raws = {n: s.extracted for n, s in looked.items() if s.extracted is not None}
        raws = {name: raw for name, raw in raws.items() if name in _names(tried)}
        cleaned = clean_sources(
            raws.values(), batch_rules, tried, folder, workers, progress=phase("clean")
        )
        for name, source in cleaned.items():
            proof.sources[name] = _of_source(looked[name], raws[name], source)
        if tried.star.sales.name in cleaned:
            _add_sales(proof, tried, raws, cleaned)
            if rows is None:  # else members of rows that were not read would be missed
                for each in strangers_in(tried.star, cleaned, workers):
                    proof.sources[tried.star.sales.name].strangers[each.column] = each.rows
            refusal = judge(tried, raws, cleaned, {}).refusal
            proof.refused += [refusal] if refusal else []
        proof.refused += over_the_limit(cleaned.values(), tried.max_reject_rate)
    return proof


class Prover:
    """Tries proposals under the settings that are in force, and the same one only once in turn."""

    def __init__(self, phase: Phase = lambda name: SILENT) -> None:
        self._phase = phase
        self._last: tuple[dict[str, Any], Proof] | None = None

    def __call__(self, proposal: Proposal, config: StarSchemaConfig) -> Proof:
        """The proof of a proposal: see `prove`."""
        given = deepcopy(by_name(proposal))
        if self._last is None or self._last[0] != given:
            self._last = given, prove(proposal, config, phase=self._phase)
        return self._last[1]


def _names(config: StarSchemaConfig) -> set[str]:
    return {source.name for source in config.star.sources}


def _absent(config: StarSchemaConfig) -> list[str]:
    """The sources without which there is no run."""
    return [
        f"{source.name}: no file has them; name it, or set {source.name.upper()}__PATH"
        for source in config.star.sources
        if source.is_required and config.source(source.name).path is None
    ]


def _of_source(looked: ReadSource, raw: RawSource, cleaned: CleanSource) -> SourceProof:
    """The account of a source, and one example of each reason."""
    warnings = [warning.removeprefix(f"{raw.name}: ") for warning in raw.warnings]
    warnings += cleaned.marked.warnings(raw.name, cleaned.read)
    warnings += [cleaned.doubt] if cleaned.doubt else []
    units = {file.label: "line" if file.format == "csv" else "record" for file in looked.opened}
    return SourceProof(
        read=cleaned.read,
        accepted=cleaned.rows,
        rejected=+Counter(cleaned.rejected),
        examples={
            reason: _example(refusal, units) for reason, refusal in refusals(raw, cleaned).items()
        },
        duplicates=cleaned.duplicates,
        skipped=cleaned.skipped + sum(cleaned.removing),
        issues=+Counter(cleaned.issues),
        warnings=[warning for warning in warnings if not warning.startswith(IGNORED)],
    )


def _example(refusal: Refusal, units: Mapping[str, str]) -> str:
    """The file, the line and the value of the first row that is refused."""
    place = refusal.first[0]
    detail = f": {place.detail[:_LONGEST]!r}" if place.detail else ""
    return f"{place.label}, {units.get(place.label, 'line')} {place.line}{detail}"


def _add_sales(
    proof: Proof,
    config: StarSchemaConfig,
    raws: Mapping[str, RawSource],
    cleaned: Mapping[str, CleanSource],
) -> None:
    """What the accepted sales come to, and how many of them name no member."""
    sales = cleaned[config.star.sales.name]
    found, currency = proof.sources[sales.name], sales.about.currency
    named = [column for column in sales.about.ids if column in raws[sales.name].mapped]
    found.nameless = dict.fromkeys(named, 0)
    for task in sales.tasks():
        rows = task()
        for column in named:
            blank = pc.equal(decoded(whole(rows[column])), UNKNOWN_ID)
            found.nameless[column] += pc.sum(blank).as_py() or 0
        if len(rows):
            sums = summed(rows["net_amount"], rows[currency] if currency else None)
            found.net = plus(found.net, sums)
