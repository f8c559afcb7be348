"""`setup` from the look at the files to the file that it writes; whom it asks is given to it."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from common.outcomes import plain
from config import StarSchemaConfig
from proposal import star_file, told
from proposal.applied import answered
from proposal.model import Proof, Proposal, Question
from proposal.proof import Phase, Prover, prove
from proposal.propose import propose
from proposal.toml_text import as_values, toml_text

READY, NOTHING, OPEN = 0, 2, 3
"""Exit codes: a run would publish; it cannot start; it would be refused, or something is open."""


@dataclass
class Session:
    """A proposal on its way to a file."""

    config: StarSchemaConfig
    path: Path
    """Where the file is written."""
    proposal: Proposal
    proof: Proof
    before: str | None
    """What stands in the file now."""

    @property
    def code(self) -> int:
        """How a run with it would end."""
        if self.proposal.problems or self.proof.problems or not self.proposal.sources:
            return NOTHING
        return OPEN if self.proposal.questions or self.proof.refused else READY

    @property
    def text(self) -> str:
        """The file as it would be."""
        return toml_text(self.proposal, self.before)

    def answer(self, answers: Sequence[tuple[Question, int | None]]) -> None:
        """Take the answers that were given to questions, by their number, and try again."""
        given = [(question, number) for question, number in answers if number is not None]
        for question, number in given:
            self.proposal = answered(self.proposal, question, question.choices[number])
        if given:
            self.proof = prove(self.proposal, self.config)

    def changes(self, width: int) -> list[str]:
        """Which settings of the file would be others; none where it says all this already."""
        after = star_file.values(self.text)
        return told.changes(star_file.values(self.before), after, width)

    def as_json(self) -> str:
        """All of it, for programs."""
        parts: dict[str, Any] = {
            **plain(self.proposal),
            "settings": as_values(self.proposal),
            "proof": plain(self.proof),
            "star_toml": self.text,
            "exit_code": self.code,
        }
        return json.dumps(parts, indent=2, ensure_ascii=False, default=str)


def look(paths: Sequence[str], config: StarSchemaConfig, path: Path, phase: Phase) -> Session:
    """Look at files, or at those of the sources that are set; propose settings, and try them."""
    before = star_file.read(path)
    phase("look")
    tried = Prover(phase)
    proposal = propose(list(_matching(paths)), config, tried)
    if not paths:  # what is in a database stays there
        kept = {name for name, source in config.sources.items() if isinstance(source.path, URL)}
        proposal.sources = {n: s for n, s in proposal.sources.items() if n not in kept}
    proof = tried(proposal, config) if proposal.sources else Proof()
    return Session(config, path, proposal, proof, before)


def _matching(paths: Sequence[str]) -> Iterator[str]:
    """The paths, and in place of a pattern in quotes the files that a shell would have named."""
    for path in paths:
        is_pattern = glob.has_magic(path) and not Path(path).exists()
        found = sorted(glob.glob(path, recursive=True)) if is_pattern else []  # noqa: PTH207
        yield from found or [path]
