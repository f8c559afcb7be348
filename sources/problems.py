"""Collects what is wrong with the sources, one line for all files with the same problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from errors import SourceError, SourceLostError
from sources.mapping_errors import listed

Result = TypeVar("Result")


class Problems:
    """The problems of an extraction. Files of a source with the same problem share a line."""

    def __init__(self, sources: Sequence[str]) -> None:
        """`sources` are the names of all sources, in their order."""
        self._sources = sources
        self._files: dict[tuple[str, str], list[str]] = {}
        self.passed_over: dict[str, list[str]] = {}
        """By source: names of files that were passed over, each with the reason."""
        self.empty: dict[str, list[str]] = {}
        """By source: files without a byte."""
        self.lost: set[str] = set()
        """Sources whose connection was lost."""
        self.others = 0
        """Problems that reading again cannot solve."""
        self.read_again: dict[str, list[str]] = {}
        """By source: what went wrong before it was read again."""

    def attempt(self, name: str, label: str, call: Callable[[], Result]) -> Result | None:
        """The result of `call`; on a `SourceError` None, and a problem of the file `label`."""
        try:
            return call()
        except SourceError as error:
            if isinstance(error, SourceLostError):
                self.lost.add(name)
            else:
                self.others += 1
            problem = str(error)
            begins = problem.startswith(label)
            key = name, problem.removeprefix(label) if begins else problem
            self._files.setdefault(key, []).extend([label] if begins else [])
            return None

    def add(self, name: str, problem: str) -> None:
        """Add a problem of a source as a whole."""
        self._files.setdefault((name, problem), [])

    def begin_again(self) -> None:
        """Forget the problems, as the sources that were lost are read again; `notes` has them."""
        for name, line in self._lines():
            self.read_again.setdefault(name, []).append(f"{line}; it was read again")
        self._files, self.lost = {}, set()

    def notes(self, name: str) -> list[str]:
        """Warnings: which files of a source were passed over, and why it was read again."""
        names = self.passed_over.get(name, [])
        passed = [f"passed over: {listed(names)}"] if names else []
        return passed + self.read_again.get(name, [])

    def messages(self, *sources: str) -> list[str]:
        """One line for each problem of these sources (of all without any), in their order."""
        lines = sorted(self._lines(), key=lambda line: self._sources.index(line[0]))
        return [f"{name}: {line}" for name, line in lines if not sources or name in sources]

    def _lines(self) -> Iterator[tuple[str, str]]:
        for (name, problem), files in self._files.items():
            yield name, f"{listed(files, ' files')}{problem}"
