"""How a text file is written: its encoding, delimiter, quotes and header."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from sources.fixed_width import likely_widths
from sources.streams import Place, open_content

_LOOKED_AT = 1 << 20
_DELIMITERS = (",", ";", "\t", "|")
_RARE_DELIMITERS = ("^", "~", ":")
_LINES = 200
_BAD_LINES = 20_000
_WESTERN = (
    "äöüÄÖÜßéèêëàâáãçñíìîïóòôõúùûåæøœÉÈÀÁÇÑÓÔÕÚÂÊÅØŒ€"
    "\u2019\u201c\u201d\u201e\u2013\u2014°§£«»®²³½ºª¿¡¢¥¬·µ"
)
"""The letters and signs beyond ASCII that texts of western Europe have."""
_CANDIDATES = ("cp1252", "cp850", "mac_roman")
_PLAUSIBLE = {
    "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "iso8859_2", "iso8859_15", "koi8_r", "cp852",
    "cp932", "shift_jis", "euc_jp", "gb18030", "gbk", "big5", "euc_kr", "cp949", "mac_roman",
}  # fmt: skip
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF8, ""),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NUMBER = re.compile(r"[^\d]{0,4}[-+(]?\d[\d.,'\s]*[-)%]?[^\d]{0,4}")
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*")


@dataclass
class Dialect:
    """How a text file is written, as far as it differs from the default."""

    encoding: str = ""
    delimiter: str = ""
    header_row: int = 0
    is_headless: bool = False
    widths: list[int] = field(default_factory=list)
    has_escapes: bool = False
    """Whether there are quotes or delimiters behind a backslash."""
    fields: int = 0
    """How many columns it has."""
    unknown: list[str] = field(default_factory=list)
    evidence: dict[str, str] = field(default_factory=dict)


def encoding_of(place: Place) -> tuple[str, str, str]:
    """The encoding of a file, '' for UTF-8; what speaks for it; and what is not certain."""
    with open_content(place) as content:
        first = content.stream.read(_LOOKED_AT)
        for mark, name in _BOMS:
            if first.startswith(mark):
                return name, "it begins with its byte order mark", ""
        if first[:1000].count(0) > len(first[:1000]) // 4:
            return (
                ("utf-16-le" if first[1:2] == b"\0" else "utf-16-be"),
                "every other byte is 0",
                "",
            )
        bad, good, rest, part = list[bytes](), 0, b"", first
        while part and len(bad) < _BAD_LINES:
            whole, end, last = (rest + part).rpartition(b"\n")
            part = content.stream.read(_LOOKED_AT)
            rest = last if part else b""
            lines = whole + end if part else whole + end + last
            if not lines.isascii():
                own, other = _lines_by_encoding(lines)
                good += own
                bad += other
    if not bad:
        return "", "", ""
    if good >= 0.2 * (good + len(bad)):
        return "", "", f"{len(bad):,} lines are not UTF-8, and the others are: see these lines"
    return _one_byte(b"".join(bad))


def _lines_by_encoding(raw: bytes) -> tuple[int, list[bytes]]:
    """How many lines have letters in UTF-8, and the lines that are not UTF-8."""
    good, bad = 0, []
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        for line in raw.split(b"\n"):
            if not line.isascii():
                try:
                    line.decode("utf-8")
                    good += 1
                except UnicodeDecodeError:
                    bad.append(line + b"\n")
        return good, bad
    return 1, []


def _one_byte(raw: bytes) -> tuple[str, str, str]:
    """The encoding with one byte a character that makes words of some lines."""
    scores = {name: _western(raw, name) for name in _CANDIDATES}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] >= 0.9:
        example = next(iter(re.findall(r"\w*[^\W\d_a-zA-Z]\w*", raw.decode(best, "replace"))), "")
        return best, f"by it the letters make words, such as {example}", ""
    from charset_normalizer import from_bytes  # noqa: PLC0415  # only where it is needed

    guess = from_bytes(raw[:_LOOKED_AT]).best()
    name = "cp1252" if guess is None or guess.encoding not in _PLAUSIBLE else guess.encoding
    return name, "", f"the encoding is not certain: {name} is the likeliest"


def _western(raw: bytes, encoding: str) -> float:
    """The share of the characters beyond ASCII that are letters or signs of western Europe."""
    beyond = [char for char in raw.decode(encoding, "replace") if not char.isascii()]
    return sum(char in _WESTERN for char in beyond) / max(1, len(beyond))


def first_lines(place: Place, encoding: str) -> list[str]:
    """The first lines of a text file."""
    with open_content(place) as content:
        raw = content.stream.read(_LOOKED_AT)
    text = raw.decode(encoding or "utf-8-sig", "replace").removeprefix("\ufeff")
    lines = re.split(r"\r\n|\n|\r", text)
    return lines[:-1] if len(raw) == _LOOKED_AT else lines


def dialect_of(place: Place) -> Dialect:
    """How a text file is written."""
    encoding, reason, doubt = encoding_of(place)
    found = Dialect(encoding, unknown=[doubt] if doubt else [])
    if reason and encoding:
        found.evidence["encoding"] = reason
    lines = first_lines(place, encoding)
    if lines and re.fullmatch(r'"?sep=.\"?', lines[0], re.IGNORECASE):
        found.delimiter = lines[0].strip('"')[4]
        lines[0] = ""
    if not found.delimiter:
        found.delimiter = _delimiter(lines)
    if not found.delimiter:
        found.widths = _widths(lines)
    found.has_escapes = any(re.search(r"\\[\"\\,;|\t]", line) for line in lines[:5000])
    _find_header(found, lines)
    return found


def _counts(lines: Sequence[str], delimiter: str) -> list[int]:
    """How many fields each line has."""
    try:
        rows = list(csv.reader([line for line in lines if line.strip()], delimiter=delimiter))
    except csv.Error:
        return [line.count(delimiter) + 1 for line in lines if line.strip()]
    return [len(row) for row in rows]


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter by which most lines have the same number of fields; '' for one column."""
    some = [line for line in lines[:_LINES] if line.strip()]
    best, best_score = "", 0.0
    for delimiter in (*_DELIMITERS, *_RARE_DELIMITERS):
        counts = Counter(_counts(some, delimiter))
        if not counts:
            continue
        fields, lines_with = counts.most_common(1)[0]
        if fields < 2:
            several = [(n, c) for n, c in counts.items() if n > 1]
            fields, lines_with = max(several, key=lambda x: x[1]) if several else (1, 0)
        share = lines_with / sum(counts.values())
        score = share * min(fields, 12) ** 0.5 if fields > 1 and share >= 0.5 else 0
        if delimiter in _RARE_DELIMITERS:
            score *= 0.3 if fields > 3 and share > 0.9 else 0
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _widths(lines: Sequence[str]) -> list[int]:
    """The widths of the columns of lines that have no delimiter but spaces; [] for other lines."""
    some = lines[:_LINES]
    found = likely_widths(some) if any("  " in line for line in some) else []
    return found if len(found) > 2 else []


def split_line(line: str, found: Dialect) -> list[str]:
    """The fields of a line."""
    if found.widths:
        ends = [sum(found.widths[: n + 1]) for n in range(len(found.widths))]
        return [
            line[end - width : end].strip() for end, width in zip(ends, found.widths, strict=True)
        ]
    if not found.delimiter:
        return [line.strip()]
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=found.delimiter), [])]
    except csv.Error:
        return [cell.strip() for cell in line.split(found.delimiter)]


def _find_header(found: Dialect, lines: Sequence[str]) -> None:
    """Find the line of the header, or that there is none."""
    rows = [
        (n, split_line(line, found)) for n, line in enumerate(lines[:_LINES], 1) if line.strip()
    ]
    place = header_place([cells for _, cells in rows])
    if not rows:
        return
    found.fields = int(median(len(cells) for _, cells in rows))
    if place is None:
        found.is_headless = True
        return
    if place > 0:
        found.header_row = rows[place][0]


def header_place(rows: Sequence[Sequence[str]]) -> int | None:
    """Which of the first rows of a table has the names of its columns; None where none has."""
    if not rows:
        return 0
    widths = Counter(_filled(row) for row in rows)
    usual = max((n for n in widths if n > 1), key=lambda n: (widths[n], n), default=1)
    if widths[usual] == 1:
        usual = max(widths)
    for place, row in enumerate(rows[:30]):
        if _filled(row) >= max(2, 0.7 * usual) or (usual <= 1 and _filled(row) == 1):
            return place if _looks_like_names(row, rows[place + 1 : place + 20]) else None
    return 0


def _filled(row: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)


def _looks_like_names(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a row has names for the rows below it, and no values."""
    cells = [cell.strip() for cell in row if cell.strip()]
    values = [cell for cell in cells if is_value(cell)]
    if len(values) > len(cells) / 3 or (values and not below):
        return False
    if not values:
        return True
    same = sum(
        any(cell == other[at] for other in below if at < len(other))
        for at, cell in enumerate(row)
        if cell.strip()
    )
    return same == 0 and len(values) <= 1


def is_value(cell: str) -> bool:
    """Whether a cell is a number, a date or an e-mail address, which no column is called."""
    return bool(
        _NUMBER.fullmatch(cell) or _DATE.fullmatch(cell) or re.fullmatch(r"\S+@\S+\.\S+", cell)
    )
