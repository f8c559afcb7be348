"""Bytes that cannot be decoded in a file's declared encoding.

They are marked in the text and counted by line. A record with such bytes is rejected. A file in
which most lines beyond ASCII have some is refused: it has another encoding, which the message
suggests.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from common.values import MAX_DETAIL, storable
from errors import SourceError
from sources.batches import ReadOptions, RefusedRecord

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MARK = "\ufdd1"
"""Stands, followed by two hexadecimal digits, for a byte that cannot be decoded. U+FDD1 is a
Unicode noncharacter; where a source contains it all the same, its bytes are marked as well.
"""
MARK_BYTES = MARK.encode()
KEEP = "keep-undecodable"
"""The codecs' error handler that keeps undecodable bytes, as lone surrogates."""

_KEPT = 0xDC00  # a lone surrogate, which no decoder returns
_KEPT_BYTE = re.compile("[\udc00-\udcff]")
_MARKED_BYTE = re.compile(f"{MARK}([0-9a-f]{{2}})")
_BYTE_ORDER_MARKS = {  # the longer ones first, as that of UTF-32-LE begins like UTF-16-LE's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LIKELY = ["cp1252", "cp1250", "cp1251", "cp1253", "cp932", "gb18030", "cp949", "big5"]
"""Encodings to suggest. latin-1 is not among them: it decodes every byte, so it never fails."""
_SAMPLE_BYTES, _AS_LIKELY = 32 << 10, 0.1
_MANY, _MANY_OF_ALL = 20, 0.05
_PROOF, _ASCII = 10_000, 0x7F
_LINES_COUNTED = int(_MANY / _MANY_OF_ALL)  # with more lines, `_MANY` is the smaller limit
_CUT_OFF = ("unexpected end of data", "truncated data", "incomplete multibyte sequence")


def _keep(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(chr(_KEPT + byte) for byte in bad), error.end


codecs.register_error(KEEP, _keep)


def is_marked(data: bytes) -> bool:
    """Whether UTF-8 text contains a mark. Most texts do not even have its first byte."""
    first = data.find(MARK_BYTES[:1])
    return first >= 0 and data.find(MARK_BYTES, first) >= 0


def mark_places(data: Bytes) -> Places:
    """The places at which marks begin in UTF-8 text."""
    if not len(data) or data.max() < MARK_BYTES[0]:  # as in most files
        return np.empty(0, np.int64)
    begin = np.flatnonzero(data == MARK_BYTES[0])
    is_mark = (data[begin + 1] == MARK_BYTES[1]) & (data[begin + 2] == MARK_BYTES[2])
    found: Places = begin[is_mark]
    return found


def as_utf8(text: str, encoding: str) -> bytes:
    """Text that was decoded with `KEEP`, as UTF-8 with its undecodable bytes marked."""
    if MARK in text:
        own = MARK.encode(encoding).removeprefix("".encode(encoding))
        text = text.replace(MARK, "".join(chr(_KEPT + byte) for byte in own))
    try:
        return text.encode()
    except UnicodeEncodeError:
        marked = _KEPT_BYTE.sub(lambda kept: f"{MARK}{ord(kept[0]) - _KEPT:02x}", text)
        return storable(marked).encode()


def refused(line: int, why: str, text: str, encoding: str) -> RefusedRecord:
    """The record `text`, which begins in line `line`, refused for the reason `why`.

    A record with undecodable bytes is refused for these (`invalid_text`), whatever else is wrong
    with it; the detail shows them as `\\xff`.
    """
    text = text.removesuffix("\n")
    if MARK not in text:
        return RefusedRecord(line, f"{why}: {text[:MAX_DETAIL]}", text)
    text = _MARKED_BYTE.sub(r"\\x\1", text)
    return RefusedRecord(
        line, f"bytes that are not {encoding}: {text[:MAX_DETAIL]}", text, "invalid_text"
    )


@dataclass
class Seen:
    """Counts of a file's lines, to judge whether the declared encoding fits.

    `bad`: lines with undecodable bytes. `good`: other lines beyond ASCII. `lines`: all lines that
    are counted. `_first`: place, reason and surroundings of the first undecodable byte.
    """

    label: str
    options: ReadOptions
    bad: int = 0
    good: int = 0
    lines: int = 0
    _open: tuple[bool, bool] = (False, False)
    """Of the line that continues in the next part: whether it has undecodable bytes, and whether it
    has bytes beyond ASCII.
    """
    _first: tuple[int, str, bytes] = (0, "", b"")
    _is_utf8: Counter[bool] = field(default_factory=Counter)

    def note(self, place: int, reason: str, raw: bytes) -> None:
        """Note undecodable bytes in `raw`, the first of them at byte `place` of the file."""
        if not self._first[1]:
            is_at_start = place < 2 or b"\0" in raw[:64]
            sample = raw if is_at_start else _undecodable(raw, self.options.encoding)
            self._first = (place, reason, sample[:_SAMPLE_BYTES])
        if not _is_utf8(self.options.encoding):
            self._is_utf8.update(_decodes(line, "utf-8") for line in _beyond_ascii(raw))

    def count(self, data: bytes) -> None:
        """Count the lines of the next part of the text. After `_PROOF` good lines nothing more is
        counted: the encoding fits.
        """
        if self.good >= _PROOF:
            return
        if self.lines < _LINES_COUNTED:
            self.lines += data.count(b"\n", 0, _SAMPLE_BYTES)
        if self.lines < _LINES_COUNTED:
            self.lines += data.count(b"\n", _SAMPLE_BYTES)
        if data.isascii() and not any(self._open):
            return
        bytes_ = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(bytes_ == ord("\n"))
        bad = _lines_of(ends, mark_places(bytes_), goes_on=self._open[0])
        high = _lines_of(ends, np.flatnonzero(bytes_ > _ASCII), goes_on=self._open[1])
        whole = slice(0, len(ends))
        self.bad += int(np.count_nonzero(bad[whole]))
        self.good += int(np.count_nonzero(high[whole] & ~bad[whole]))
        self._open = (bool(bad[-1]), bool(high[-1]))

    def add(self, other: Seen) -> None:
        """Add the counts of the part of the text that follows."""
        if self.good >= _PROOF:
            return
        self.bad, self.good = self.bad + other.bad, self.good + other.good
        self.lines += other.lines
        self._first = self._first if self._first[1] else other._first
        self._is_utf8.update(other._is_utf8)

    def end(self) -> None:
        """Count the last line. Raises `SourceError` when the file has another encoding."""
        self.count(b"\n")
        self.judge()

    def judge(self) -> None:
        """Raise `SourceError` when the counts show that the file has another encoding."""
        is_many = self.bad >= _MANY or (self.bad > 1 and self.bad > _MANY_OF_ALL * self.lines)
        is_utf8 = self._is_utf8[True] > self._is_utf8[False]
        is_most = self.bad > self.good and self.good < _PROOF
        if is_utf8 or (is_many and is_most):
            raise self.encoding_error()

    def encoding_error(self) -> SourceError:
        """The error for a file that is not in the declared encoding, with the setting to try."""
        place, reason, _ = self._first
        return SourceError(
            f"{self.label}: byte {place} is not valid {self.options.encoding} ({reason}); "
            f"set {self.options.source.upper()}__ENCODING{self._hint()}"
            + (", if the file is not cut off" if reason in _CUT_OFF else "")
        )

    def _hint(self) -> str:
        """Which encoding to set, by the bytes seen; never one that decodes every byte."""
        place, _, raw = self._first
        known = _BYTE_ORDER_MARKS.items() if place < 2 else ()
        marked = next((name for mark, name in known if raw.startswith(mark)), None)
        if marked:
            return f"={marked}: the file begins with that byte-order mark"
        if b"\0" in raw[:64]:
            return f", perhaps to {utf_16(raw)}: there are NUL characters"
        if _is_utf8(self.options.encoding) and self.good >= self.bad:
            return " only if all of it has another one: most of it is UTF-8, so correct that line"
        is_utf8 = self._is_utf8[True] > self._is_utf8[False]
        fits = ["utf-8"] if is_utf8 else _fitting(raw, self.options.encoding)
        if not fits:
            return ", though none is certain by the bytes seen"
        if len(fits) > 1:
            return (
                f"; none is certain, {' and '.join(fits)} would fit: try, and look at the accents"
            )
        return f"={fits[0]}, which fits the bytes seen"


def utf_16(raw: bytes) -> str:
    """The byte order of UTF-16 text that begins with these bytes, one of which is NUL."""
    return "utf-16-be" if raw.startswith(b"\0") else "utf-16-le"


def _lines_of(ends: Places, places: Places, *, goes_on: bool) -> Flags:
    """Booleans: whether each line contains one of `places`; the lines end at `ends`, the last one
    is unfinished. `goes_on` says it of the beginning of the first line.
    """
    found = np.zeros(len(ends) + 1, bool)
    found[np.searchsorted(ends, places)] = True
    found[0] |= goes_on
    return found


def _beyond_ascii(raw: bytes) -> list[bytes]:
    return [line for line in raw.splitlines() if not line.isascii()]


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeError:
        return False
    return True


def _undecodable(raw: bytes, declared: str) -> bytes:
    """The lines of `raw` that cannot be decoded."""
    return b"\n".join(line for line in _beyond_ascii(raw) if not _decodes(line, declared))


def _fitting(raw: bytes, declared: str) -> list[str]:
    """The encodings in which the undecodable lines of `raw` make sense, the likeliest first.

    Encodings that give the same text count once.
    """
    from charset_normalizer import from_bytes  # noqa: PLC0415  # 30 ms that few files need

    sample = _undecodable(raw, declared)[:_SAMPLE_BYTES]
    found = list(from_bytes(sample, cp_isolation=_LIKELY))
    near = [match for match in found if match.chaos <= found[0].chaos + _AS_LIKELY]
    return list(dict.fromkeys(_likeliest(sample, str(match), match.encoding) for match in near))


def _likeliest(sample: bytes, text: str, encoding: str) -> str:
    """The first of `_LIKELY` that decodes the sample to `text`; else `encoding`, which does too."""
    same = (name for name in _LIKELY if _decodes(sample, name) and sample.decode(name) == text)
    return next(same, encoding)
