"""What is wrong with the sources, told once for all files that have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from errors import SourceError, SourceLostError
from sources.mapping import FILES_TOLD

Result = TypeVar("Result")


class Problems:
    """What is wrong with the sources. What is wrong with many files is told once."""

    def __init__(self, sources: Sequence[str]) -> None:
        """`sources` are the names of all sources, in their order."""
        self._sources = sources
        self._files: dict[tuple[str, str], list[str]] = {}
        self.passed_over: dict[str, list[str]] = {}
        """Names of files that are no part of a source, and why."""
        self.lost: set[str] = set()
        """Sources to which the connection was lost."""
        self.others = 0
        """Problems that reading again cannot solve."""
        self.read_again: dict[str, list[str]] = {}
        """What of a source went wrong before it was read again."""

    def attempt(self, name: str, label: str, call: Callable[[], Result]) -> Result | None:
        """The result of `call`, or None and one more problem of the file `label` of a source."""
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
        """One more line about a source that is refused already."""
        self._files.setdefault((name, problem), [])

    def begin_again(self) -> None:
        """Have what was wrong behind us: the sources that were lost are read again."""
        for name, line in self._lines():
            self.read_again.setdefault(name, []).append(f"{line}; it was read again")
        self._files, self.lost = {}, set()

    def notes(self, name: str) -> list[str]:
        """What to be warned of: the files of a source that were passed over, and what was read
        again.
        """
        names = self.passed_over.get(name, [])
        more = f" and {len(names) - FILES_TOLD} more" if names[FILES_TOLD:] else ""
        passed = [f"passed over: {', '.join(names[:FILES_TOLD])}{more}"] if names else []
        return passed + self.read_again.get(name, [])

    def told(self, *sources: str) -> list[str]:
        """One line for each problem, in the order of the sources; of some of them only."""
        lines = sorted(self._lines(), key=lambda line: self._sources.index(line[0]))
        return [f"{name}: {line}" for name, line in lines if not sources or name in sources]

    def _lines(self) -> Iterator[tuple[str, str]]:
        for (name, problem), files in self._files.items():
            more = f" and {len(files) - FILES_TOLD} more files" if files[FILES_TOLD:] else ""
            yield name, f"{', '.join(files[:FILES_TOLD])}{more}{problem}"
