"""Decodes JSON objects from text, record by record; numbers keep all digits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.values import json_number, storable
from sources.json_values import same
from sources.undecodable import MARK

DEEPEST = 100
"""The most levels of nesting; a deeper record is refused."""


@dataclass(frozen=True)
class Malformed:
    """Text in place of a JSON object, and why it is no row."""

    problem: str
    text: str


Record = dict[str, Any] | Malformed
Item = tuple[int, Record]
"""A record's number (in an array) or line (in JSON Lines), and the record."""
_BETWEEN = re.compile(r"[ \t\n\r]*,?[ \t\n\r]*")
_BESIDE = re.compile(r"\}[ \t]*,?[ \t]*\{")


class TooDeepError(ValueError):
    """Nested so deep that the parser gave up: where the value ends is unknown."""


class Decoder:
    """Decodes JSON objects that follow each other in a text."""

    def __init__(self, fault: Callable[[dict[str, Any]], str] | None = None) -> None:
        """`fault` says why an object is no usable record, or ''."""
        self._twice = False
        self._fault = fault
        self._json = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_float=json_number,
            parse_int=_integer,
            parse_constant=str,
            strict=False,
        )

    def decode(self, text: str, at: int) -> tuple[dict[str, Any] | Malformed, int]:
        """The value that begins at `at`, and where it ends; `Malformed` if it is no usable record.

        Raises `ValueError` if no JSON value begins there.
        """
        self._twice = False
        try:
            value, end = self._json.raw_decode(text, at)
        except RecursionError:
            raise TooDeepError(f"nested more than {DEEPEST} deep") from None
        if not isinstance(value, dict) or text.find(MARK, at, end) >= 0:
            return Malformed("not a JSON object", text[at:end]), end
        if not value:
            return Malformed("an object without keys", text[at:end]), end
        if self._twice:
            return Malformed("a key appears twice with different values", text[at:end]), end
        names = "".join(value)
        if not names.isascii() and storable(names) != names:  # keys become columns' names
            return Malformed("a key with half of a Unicode pair", text[at:end]), end
        if self._fault is not None and (problem := self._fault(value)):
            return Malformed(problem, text[at:end]), end
        is_deep = text.count("[", at, end) + text.count("{", at, end) > DEEPEST
        return (self._shallow(value, text[at:end]) if is_deep else value), end

    def line(self, text: str, *, is_whole: bool = True) -> tuple[list[Record], str]:
        """The objects of a line, with or without commas between them, and the rest of the text if
        the line is not whole and may continue.

        After a damaged object the next one is read, if it is certain where that begins.
        """
        found: list[Record] = []
        at, text = 0, text.strip()
        while at < len(text):
            try:
                value, end = self.decode(text, at)
            except ValueError as error:
                value = Malformed(f"not a JSON object ({problem_of(error)})", text[at:])
                following = self._following(text, max(at, getattr(error, "pos", at)))
                if following is not None:
                    value = Malformed(value.problem, text[at:following].rstrip(" \t,"))
            else:
                following = _after(text, end)
                if following < len(text) and text[following] != "{":
                    value, following = Malformed("text after the JSON value", text[at:]), None
            if not is_whole and following in (None, len(text)):
                return found, text[at:]
            found.append(value)
            at = len(text) if following is None else following
        return found, ""

    def _following(self, text: str, damaged: int) -> int | None:
        """Where the object after a damaged one begins, if that is certain; else None.

        `}{` is always between two records. `},{` may also be inside a list of the damaged one, so
        it counts only if everything from there on can be decoded.
        """
        beside = _BESIDE.search(text, damaged)
        if beside is None:
            return None
        begin = beside.end() - 1
        if "," not in beside[0]:
            return begin
        try:
            at = begin
            while at < len(text):
                if text[at] != "{":
                    return None
                at = _after(text, self.decode(text, at)[1])
        except ValueError:
            return None
        return begin

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs) and not all(same(value[key], other) for key, other in pairs):
            self._twice = True
        return value

    def _shallow(self, value: dict[str, Any], text: str) -> dict[str, Any] | Malformed:
        layer: list[Any] = [value]
        for _ in range(DEEPEST):
            layer = [
                inner
                for outer in layer
                for inner in (outer.values() if isinstance(outer, dict) else outer)
                if isinstance(inner, dict | list)
            ]
            if not layer:
                return value
        return Malformed(f"nested more than {DEEPEST} deep", text)


def _after(text: str, end: int) -> int:
    """Where the next value may begin: after spaces, with at most one comma among them."""
    between = _BETWEEN.match(text, end)
    return end if between is None else between.end()


def problem_of(error: ValueError) -> str:
    """The decoder's message without its position, which counts from the buffer's beginning."""
    message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return message.removesuffix(" starting at")


def _integer(digits: str) -> int | str:
    """An integer; one of 100 digits or more stays text, and is rejected as a number later."""
    return int(digits) if len(digits) < 100 else digits
