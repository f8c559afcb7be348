"""The checks of the star, with what each of them proves."""

from __future__ import annotations

from dataclasses import dataclass

from common.checks import proves
from pages.shown import called, count, listed
from pages.story import Story


@dataclass(frozen=True)
class Proof:
    """A check of one or several tables."""

    name: str
    proves: str
    tables: str
    rows: str
    problems: str
    status: str
    """`passed`, `failed` or `not evaluated`."""


def proofs(story: Story) -> list[Proof]:
    """All checks that the run of a story came to; those alike of several tables in one."""
    validation = story.summary.outcomes.validation
    names = called(story.config.star)
    grouped: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
    for check in validation.checks if validation else ():
        grouped.setdefault((check.check, check.status), []).append(
            (check.table, check.rows, check.problems)
        )
    found = [
        Proof(
            name,
            proves(name),
            listed(names.get(table, table) for table, *_ in of),
            count(sum(rows for _, rows, _ in of)),
            count(sum(problems for *_, problems in of)),
            status,
        )
        for (name, status), of in grouped.items()
    ]
    return sorted(found, key=lambda proof: proof.status != "failed")


def passed(story: Story) -> tuple[int, int]:
    """How many checks have passed, and of how many; those without any row are none."""
    validation = story.summary.outcomes.validation
    looked = [c for c in validation.checks if c.status != "not evaluated"] if validation else []
    return sum(check.status == "passed" for check in looked), len(looked)
