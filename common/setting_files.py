"""The files that settings are read from: `.env`, and `star.toml` with its tables.

Their lines may hold secrets, so a message has names and line numbers, and never a value.
"""

from __future__ import annotations

import difflib
import io
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream

from common.files import is_named_pipe
from common.setting_kinds import fault, plain
from errors import ConfigError

STAR_FILE = "star.toml"
VERSION = 1
"""Of the form of `star.toml`."""


def read_env_file(path: Path) -> tuple[dict[str, str | None], list[str]]:
    """The settings in a file, and the lines that are none: the number of each is all that a
    message has.
    """
    text = _text_of(path, may_be_absent=str(path) == ".env")
    bindings = list(parse_stream(io.StringIO(text or "")))
    settings = {binding.key: binding.value for binding in bindings if binding.key is not None}
    return settings, [
        f"{path}, line {binding.original.line}: cannot be read; write NAME=value, and a value with "
        "quotes, spaces or # as NAME='value' with \\' for a quote in it"
        for binding in bindings
        if binding.error
    ]


def found_setting(name: str, env_file: Path, environment: Mapping[str, str]) -> str:
    """The value of one setting, blank where there is none, though the others may be wrong: the
    environment comes first, then `env_file`, then `star.toml`, as for all of them.
    """
    given: dict[str, str | None] = {}
    with suppress(ConfigError):
        given = read_env_file(env_file)[0]
    upper = {key.upper(): value for key, value in {**given, **environment}.items() if value}
    if value := upper.get(name):
        return value
    with suppress(ConfigError):
        value = read_star_file(upper.get("STAR_FILE")).tables.get(name.lower())
        return value if isinstance(value, str) else ""
    return ""


def _text_of(path: Path, *, may_be_absent: bool) -> str | None:
    """What a file says; None where there is none, and need not be."""
    try:
        if is_named_pipe(path):
            raise ConfigError(
                [f"{path}: is a named pipe, whose writer may never come; name a file"]
            )
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if may_be_absent:
            return None
        raise ConfigError([f"{path}: there is no such file"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: byte {error.start} is not UTF-8; save it as UTF-8"]) from None


@dataclass(frozen=True)
class StarFile:
    """What `star.toml` says, or a file that has its place."""

    name: str
    text: str = ""
    tables: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def sources(self) -> dict[str, dict[str, Any]]:
        """The settings of each source, as far as they are tables."""
        sources = self.tables.get("sources")
        tables = sources.items() if isinstance(sources, dict) else ()
        return {name: table for name, table in tables if isinstance(table, dict)}

    def settings(self) -> Iterator[tuple[str, tuple[str, ...], Any]]:
        """Each setting: its name as in `.env`, its place in the file, its value."""
        for name, value in self.tables.items():
            if name not in ("version", "sources") and not isinstance(value, dict):
                yield name.upper(), (name,), value
        for source, table in self.sources.items():
            for part, value in table.items():
                yield f"{source.upper()}__{part.upper()}", ("sources", source, part), value

    def usable(
        self, kinds: Mapping[str, Mapping[str, Any]]
    ) -> tuple[dict[str, Any], dict[str, str], list[str]]:
        """The values by setting, the place of each, and what is wrong with the others; `kinds`
        says of each setting what its value may be. A blank text is no value, as in `.env`.
        """
        values, places = {}, {}
        problems = list(self._misplaced(kinds))
        for name, place, value in self.settings():
            source = "__".join(name.split("__")[:-1])
            is_written_so = place[-1] == place[-1].lower() and name in kinds
            if not is_written_so:
                if source and not any(kind.startswith(f"{source}__") for kind in kinds):
                    continue  # its source is told
                parts = {k.rpartition("__")[2].lower() for k in kinds if _source_of(k) == source}
                problems.append(f"{self.at(*place)} is not a setting{_hint(place[-1], parts)}")
            elif wrong := fault(value, kinds[name]):
                problems.append(f"{self.at(*place)} {wrong}")
            elif value.strip() if isinstance(value, str) and place[-1] != "delimiter" else True:
                values[name], places[name] = plain(value, kinds[name]), self.at(*place)
        return values, places, problems

    def _misplaced(self, kinds: Collection[str]) -> Iterator[str]:
        """What is wrong with the version, and with tables."""
        version = self.tables.get("version")
        if "version" not in self.tables:
            yield f"{self.name}: version is missing; write version = {VERSION} as its first line"
        elif version != VERSION or isinstance(version, bool):
            yield f"{self.at('version')} is not one that is known here; write version = {VERSION}"
        for name, value in self.tables.items():
            if name != "sources" and isinstance(value, dict):
                hint = _hint(name, ["sources"])
                yield f"{self.at(name)}: the table is not known in this version{hint}"
        sources = self.tables.get("sources", {})
        if not isinstance(sources, dict):
            yield f"{self.at('sources')} is no table; write one for each, as [sources.customers]"
            return
        known = list(dict.fromkeys(_source_of(kind).lower() for kind in kinds if "__" in kind))
        for name, value in sources.items():
            if name not in known:
                hint = _hint(name, known) or f"; there are {', '.join(known)}"
                yield f"{self.at('sources', name)} is no source{hint}"
            elif not isinstance(value, dict):
                yield f"{self.at('sources', name)} is no table; write [sources.{name}], and path ="

    def at(self, *path: str) -> str:
        """Where a key is, for a message: the file, the line, and the key with its tables."""
        line = self._line_of(path)
        keys = ".".join(k if re.fullmatch(r"[\w-]+", k, re.ASCII) else f'"{k}"' for k in path)
        return f"{self.name}{f', line {line}' if line else ''}: {keys}"

    def _line_of(self, path: tuple[str, ...]) -> int:
        """The line where the value of a key begins: that after the last lines that can be read
        without it. It costs a look at each line, and is for messages alone.
        """
        lines = self.text.splitlines(keepends=True)
        begin = 1
        for number in range(1, len(lines) + 1):
            try:
                found: Any = tomllib.loads("".join(lines[:number]))
            except tomllib.TOMLDecodeError:
                continue  # in the middle of a value
            for key in path:
                found = found.get(key) if isinstance(found, dict) else None
            if found is not None:
                return begin
            begin = number + 1
        return 0


def read_star_file(named: str | None) -> StarFile:
    """The tables of the file that is named, or else of `star.toml` in the working directory if it
    is there.
    """
    path = Path(named or STAR_FILE)
    text = _text_of(path, may_be_absent=named is None)
    if text is None:
        return StarFile(str(path), tables={"version": VERSION})
    try:
        return StarFile(str(path), text, tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).partition(" (at ")
        place = place.removesuffix(")") or "its end"
        line, _, column = place.partition(", ")
        where = f"{line} ({column})" if column else "its end"
        raise ConfigError([f"{path}, {where}: is not valid TOML: {reason}"]) from None


def nested(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their names as the fields of the configuration."""
    sources: dict[str, dict[str, Any]] = {}
    nested: dict[str, Any] = {"sources": sources}
    for name, value in given.items():
        head, _, rest = name.lower().partition("__")
        if rest:
            sources.setdefault(head, {})[rest] = value
        else:
            nested[head] = value.strip() if isinstance(value, str) else value
    return nested


def _source_of(name: str) -> str:
    return name.rpartition("__")[0]


def _hint(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
