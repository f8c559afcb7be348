"""A proposal as the text of `star.toml`, for people: what was seen, and what is open, is beside it.

What stands in a file already stays, but for the sources that are proposed anew.
"""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from common.setting_files import VERSION
from common.source_settings import SourceSettings
from errors import EtlError
from proposal.applied import KEPT, as_decided
from proposal.model import Choice, Proposal, Question, SourceProposal

_WIDTH = 100
_HEAD = "Found by `python main.py setup`. What each setting means: docs/settings.md."
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class StarFileError(EtlError):
    """A `star.toml` that cannot be changed."""

    exit_code = 2


def toml_text(proposal: Proposal, before: str | None = None) -> str:
    """The text of `star.toml` with what is proposed; `before` is what stands in the file now. What
    an open question is about is in it as comments only.

    Raises `StarFileError` where `before` cannot be changed without loss.
    """
    proposal = as_decided(proposal)
    if before is None or not before.strip():
        head = [*_commented(_HEAD), f"version = {VERSION}"]
        head += [f"{name} = {_value(value)}" for name, value in proposal.general.items()]
        head += [line for q in proposal.questions if not q.source for line in _question(q)]
        parts = [head, *(list(_source(proposal, s)) for s in proposal.sources.values())]
        return _text(parts, _left_over(proposal))
    return _changed(proposal, before)


def setting_lines(settings: Mapping[str, Any]) -> list[str]:
    """Settings of a source, a line for each, as they stand below `[sources.<name>]`."""
    return [f"{name} = {value}" for name, value in _settings(settings)]


def as_values(proposal: Proposal) -> dict[str, Any]:
    """What `star.toml` holds, as values."""
    proposal = as_decided(proposal)
    sources = {
        name: {"path": source.path, **source.settings} for name, source in proposal.sources.items()
    }
    return {"version": VERSION, **proposal.general, "sources": sources}


def _text(parts: Iterable[Sequence[str]], left_over: Iterable[str]) -> str:
    """Parts of lines, with an empty line between them, and what is left over at the end."""
    return "\n\n".join("\n".join(part) for part in [*parts, list(left_over)] if part) + "\n"


# --- a source -------------------------------------------------------------------------------------


def _source(proposal: Proposal, source: SourceProposal) -> Iterator[str]:
    """A table of the file, with comments."""
    yield f"[sources.{source.name}]"
    lines = list(_settings({"path": source.path, **source.settings}))
    width = max(
        [len(f"{name} = {value}") for name, value in lines if _evidence(source, name)] + [0]
    )
    for name, value in lines:
        line, seen = f"{name} = {value}", _evidence(source, name)
        beside = f"{line:<{min(width, _WIDTH // 2)}}  # {seen}"
        if seen and len(beside) > _WIDTH:
            yield from _commented(seen)
        yield beside if seen and len(beside) <= _WIDTH else line
    for text in source.unknown:
        yield from _commented(f"Not known: {text}")
    for question in proposal.questions:
        if question.source == source.name:
            yield from _question(question)


def _settings(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values, in the order in which the settings are declared; the columns one by one."""
    order = {name: number for number, name in enumerate(SourceSettings.model_fields)}
    for name in sorted(given, key=lambda name: (name == "columns", order.get(name, len(order)))):
        if name == "columns":
            for ours, theirs in given[name].items():
                yield f"columns.{ours}", _value(theirs)
        else:
            yield name, _value(given[name])


def _evidence(source: SourceProposal, name: str) -> str:
    return " ".join(_plain(source.evidence.get(name.removeprefix("columns."), "")).split())


def _question(question: Question, place: str = "") -> Iterator[str]:
    """What is to be decided, and what to uncomment for each answer."""
    yield from _commented(f"To be decided: {place}{question.text}")
    for letter, choice in zip(_LETTERS, question.choices, strict=False):
        yield from _commented(f"{letter}) {choice.text}", "   ")
        for line in _choice(choice):
            yield f"# {line}"


def _choice(choice: Choice) -> Iterator[str]:
    """The lines of an answer; a setting that it takes away has none."""
    given = {name: value for name, value in choice.settings.items() if value is not None}
    columns = given.pop("columns", {})
    yield from (f"{name} = {_value(value)}" for name, value in given.items())
    for ours, theirs in columns.items():
        if theirs is not None:
            yield f"columns.{ours} = {_value(theirs)}"


def _left_over(proposal: Proposal) -> Iterator[str]:
    """Why there can be no run yet, and what is made of no source."""
    for problem in proposal.problems:
        yield from _commented(f"Missing: {problem}")
    for path, why in proposal.unused.items():
        yield from _commented(f"Not used: {path}: {why.removeprefix(f'{path}: ')}")


def _general(proposal: Proposal) -> Iterator[str]:
    """The questions whose answers stand at the top of a file that has a top already."""
    for question in proposal.questions:
        if not question.source:
            yield from _question(question, "at the top of this file, ")


def _commented(text: str, indent: str = "  ") -> list[str]:
    """Lines of comments."""
    return textwrap.wrap(
        _plain(text), _WIDTH, initial_indent="# ", subsequent_indent=f"# {indent}",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _plain(text: str) -> str:
    """A text without line ends, and other signs that no comment may have."""
    return "".join(c if c.isprintable() else " " for c in text)


def _value(value: Any) -> str:
    """A value as a person writes it in TOML: `["order", "line"]`, `{ value = "1" }`."""
    if isinstance(value, Mapping):
        pairs = (f"{tomlkit.key(name).as_string()} = {_value(v)}" for name, v in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str) and "\\" in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    return tomlkit.item(value if isinstance(value, bool | int | str) else str(value)).as_string()


# --- a file that is there -------------------------------------------------------------------------


def _changed(proposal: Proposal, before: str) -> str:
    """What stands in the file, with the proposed sources in place of those of their names."""
    try:
        document = tomlkit.parse(before)
        old = tomllib.loads(before)
    except (TOMLKitError, tomllib.TOMLDecodeError) as error:
        raise StarFileError(f"it is no TOML ({error}); correct it, or move it away") from None
    tables = old.get("sources", {})
    if not isinstance(tables, dict):
        raise StarFileError("its `sources` are no tables; correct it, or move it away")
    anew = {name: _with_kept(s, tables.get(name)) for name, s in proposal.sources.items()}
    for name in anew.keys() & tables.keys():
        document["sources"].remove(name)
    for name, value in {"version": VERSION, **proposal.general}.items():
        document[name] = tomlkit.value(_value(value))
    left = tomlkit.dumps(document).rstrip()
    over = [*_left_over(proposal), *_general(proposal)]
    text = _text([[left], *(list(_source(proposal, source)) for source in anew.values())], over)
    expected = {**old, **as_values(Proposal(anew, proposal.general))}
    expected["sources"] = {**tables, **expected["sources"]}
    if _read_again(text) != tomllib.loads(tomlkit.dumps(expected)):
        raise StarFileError("it cannot be changed without loss; move it away, and begin anew")
    return text


def _read_again(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _with_kept(source: SourceProposal, before: Any) -> SourceProposal:
    """A source with those of its settings that no look at a file tells."""
    if not isinstance(before, dict) or before.get("path") != source.path:
        return source
    kept = {name: value for name, value in before.items() if name in KEPT}
    settings = {**kept, **source.settings}
    return SourceProposal(source.name, source.path, settings, source.evidence, source.unknown)
