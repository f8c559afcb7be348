"""`setup` at a terminal: it shows what it has found, asks what it cannot know, and writes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from common.setting_files import read_env_file
from proposal import star_file, told
from proposal.model import Question
from proposal.session import NOTHING, READY, Session

DECLINED = 1
"""Exit code: somebody said no."""
_WIDEST = 110
Say = Callable[[str], None]


@dataclass(frozen=True)
class Manner:
    """How it is to go on once the files were looked at."""

    yes: bool = False
    """Write without asking."""
    prints: bool = False
    """Print the file, and write nothing."""
    as_json: bool = False

    @property
    def asks(self) -> bool:
        """Whether somebody is there to answer."""
        is_told = self.yes or self.prints or self.as_json
        return not is_told and sys.stdin.isatty() and sys.stdout.isatty()


def conduct(session: Session, manner: Manner, say: Say, env_file: str) -> int:
    """Show, ask and write in this manner; returns the exit code.

    Raises KeyboardInterrupt where somebody would rather not answer, and `EtlError` where the file
    cannot be written.
    """
    if manner.as_json:
        say(session.as_json())
    elif manner.prints:
        say(session.text.rstrip("\n"))
    if manner.as_json or manner.prints:
        if manner.yes and session.proposal.sources:
            star_file.write(session.path, session.text)
        return session.code
    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)
    say("\n".join([*told.proposed(session.proposal, width), *_outlook(session, width)]))
    if not session.proposal.sources:
        return NOTHING
    if manner.asks:
        _ask(session, width, say)
    else:
        for question in session.proposal.questions:
            say(
                "\n".join(
                    ["to be decided (tried with the first answer):", *told.asked(question, width)]
                )
            )
    return _write(session, manner, width, say, env_file)


def _ask(session: Session, width: int, say: Say) -> None:
    """Put each question, and try again with the answers."""
    answers = []
    for question in session.proposal.questions:
        say("\n".join(["", *told.asked(question, width)]))
        answers.append((question, _answer(question)))
    if any(number is not None for _, number in answers):
        session.answer(answers)
        say("\n".join(["", *_outlook(session, width)]))


def _answer(question: Question) -> int | None:
    """The number of the answer, from 0; None where it stays open."""
    numbers = [str(number + 1) for number in range(len(question.choices))]
    given = _prompted(f"1-{len(numbers)}, or Enter to leave it open", ["", *numbers])
    return int(given) - 1 if given else None


def _prompted(text: str, answers: list[str], default: str = "") -> str:
    """One of `answers`. Raises KeyboardInterrupt at Ctrl-C, and at the end of the input."""
    try:
        while True:
            given: str = click.prompt(text, default=default, show_default=False, prompt_suffix=" ")
            if given.strip().lower() in answers:
                return given.strip().lower()
    except click.Abort:
        raise KeyboardInterrupt from None


def _outlook(session: Session, width: int) -> list[str]:
    return told.proven(session.proposal, session.proof, width)


def _write(session: Session, manner: Manner, width: int, say: Say, env_file: str) -> int:
    """Say what would change, ask unless told, and write."""
    name = str(session.path)
    changed = session.changes(width)
    if session.before is not None and not changed:
        say("\n".join(told.filled(f"{name} says all this already", width)))
        return session.code
    if session.before is not None:
        what = f"{name} is there already; this would change:"
        say("\n".join([*told.filled(what, width), *changed]))
    if not (manner.yes or manner.asks):
        hint = "--yes writes it, --print shows it, --json tells it to programs"
        told_so = f"nothing was written: nobody is here to be asked; {hint}"
        say("\n".join(told.filled(told_so, width)))
        return NOTHING
    if manner.asks:
        is_fine = session.code == READY
        choice = "[Y/n]" if is_fine else "[y/N]"
        answers = ["y", "yes", "n", "no"]
        if _prompted(f"write {name}? {choice}", answers, "y" if is_fine else "n")[0] == "n":
            say("nothing was written")
            return DECLINED
    backup = star_file.write(session.path, session.text)
    say("\n".join(_written(session, backup, width, env_file)))
    return session.code


def _written(session: Session, backup: Path | None, width: int, env_file: str) -> list[str]:
    """What was written, what stands above it, and what comes next."""
    former = f"; what it said before is in {backup.name}" if backup else ""
    lines = told.filled(f"{session.path} is written{former}", width)
    if above := _above(session, env_file):
        names = ", ".join(above)
        lines += told.filled(f"take these out of {env_file} or the environment: {names}", width)
    if session.proposal.questions:
        lines += told.filled("open questions are in it as comments: decide them there", width)
    return [*lines, "next: python main.py check"]


def _above(session: Session, env_file: str) -> list[str]:
    """The settings that are written, and that another place with precedence has as well."""
    path = Path(env_file)
    given: Mapping[str, str | None] = read_env_file(path)[0] if path.exists() else {}
    names = {name.upper() for name, value in {**given, **os.environ}.items() if value}
    written = [name.upper() for name in session.proposal.general]
    for name, source in session.proposal.sources.items():
        written += [f"{name}__{part}".upper() for part in ("path", *source.settings)]
    return [name for name in written if name in names]
