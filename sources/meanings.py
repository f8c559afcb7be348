"""What nothing is mapped to, and yet changes what a row means: its currency, that it was cancelled.

Only columns with such a name are looked at, and signs of currencies beside amounts. A look counts
over all records, so that what is added up as it stands is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import decoded
from common.star_model import Source

_SYMBOL, _NO_SYMBOL = r"\p{Sc}", r"\P{Sc}+"
_CURRENCY = re.compile(
    r"currenc|(^|_)(ccy|curr?|money_unit|w(ä|ae)hrung|devise|moneda|valuta|moeda)($|_)"
)
_NO_CURRENCY = re.compile(r"rate|amount|value|(^|_)(at|date|id)$")
_STATUS = re.compile(r"status|storno|(order|sale|line|payment|financial|fulfil\w*)_state$")
_FLAG = re.compile(r"(^|_)(cancell?ed|void(ed)?|deleted|removed|refunded|returned)$")
_MOMENT = re.compile(
    r"(cancell?ed|cancell?ation|void(ed)?|deleted|refunded|returned)_(at|on|date)$"
)
_GONE = re.compile(
    r"(partial(ly)?[ _-]?)?"
    r"(cancell?ed|cancell?ation|void(ed)?|refunded|returned|reversed|charge[ _-]?back|deleted"
    r"|storno|storniert|annul(l?ed|é)|cancelad[oa]|annullato|geannuleerd)",
    re.IGNORECASE,
)
_YES = {"true", "t", "yes", "y", "1", "x"}
_NO = {"", "false", "f", "no", "n", "0", "null", "none", "\\n"}
_LONGEST, _MOST = 20, 60
"""Of the values that are counted: a text that is longer, or one of more, is no such word."""
_TOLD = 6


@dataclass
class Meanings:
    """What was seen of a file's records, batch by batch."""

    symbols: Counter[str] = field(default_factory=Counter)
    """How many amounts each sign of a currency stands beside."""
    currencies: dict[str, Counter[str]] = field(default_factory=dict)
    """By column: how many records have which currency."""
    gone: dict[str, Counter[str]] = field(default_factory=dict)
    """By column: how many records say by which word that they were cancelled."""

    def add(self, other: Meanings) -> None:
        """Take what was seen of another batch in."""
        self.symbols += other.symbols
        for own, theirs in ((self.currencies, other.currencies), (self.gone, other.gone)):
            for name, found in theirs.items():
                own.setdefault(name, Counter()).update(found)

    def warnings(self, ignored: Iterable[str]) -> Iterator[str]:
        """What to be warned of; `ignored` are the columns that nothing is mapped to."""
        columns = list(ignored)
        if len(self.symbols) > 1:
            yield f"amounts are in {_listed(self.symbols)}; {_ADDED_UP}"
        for name in (name for name in columns if name in self.currencies):
            found = self.currencies[name]
            if 1 < len(found) <= _MOST and all(map(_is_currency, found)):
                yield f"the column {name} is not used, and has {_listed(found)}; {_ADDED_UP}"
        for name in (name for name in columns if self.gone.get(name)):
            yield (
                f"the column {name} is not used, and says {_listed(self.gone[name])}; such sales "
                "are loaded like any other, as this version has no setting that leaves them out: "
                "have the source leave them out, or a query"
            )


_ADDED_UP = (
    "amounts are added up as they stand, as this version has no setting for currencies: load one "
    "currency, or convert them before"
)


def look_for_meanings(
    source: Source, rows: pa.Table, mapping: Mapping[str, list[str]], ignored: Iterable[str]
) -> Meanings:
    """Look at the signs of currencies in a batch, and at what its ignored columns say."""
    seen = Meanings()
    for canonical in source.amounts:
        for name in mapping.get(canonical, ()):
            if name in rows.column_names:
                seen.symbols += _symbols(rows[name])
    for name in ignored if source.amounts else ():
        plain = _plain(name)
        if _CURRENCY.search(plain) and not _NO_CURRENCY.search(plain):
            found = _counted(rows[name], upper=True)
            is_one = len(found) <= _MOST and all(map(_is_currency, found))
            seen.currencies[name] = found if is_one else Counter({_NO_WORD: 1})
        elif source.describes_facts and (words := _gone(plain, rows[name])):
            seen.gone[name] = words
    return seen


def _plain(name: str) -> str:
    """A column's name in lower case, its words with `_` between them."""
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", name)
    return re.sub(r"\W+", "_", words).strip("_").casefold()


def _symbols(column: pa.ChunkedArray) -> Counter[str]:
    found = Counter[str]()
    for chunk in column.chunks:
        is_encoded = pa.types.is_dictionary(chunk.type)
        texts = chunk.dictionary if is_encoded else chunk
        if pc.any(pc.match_substring_regex(texts, _SYMBOL)).as_py():
            signs = pc.replace_substring_regex(texts, _NO_SYMBOL, "")
            for text, count in _values(signs.take(chunk.indices) if is_encoded else signs):
                found.update(dict.fromkeys(text, count))
    return found


def _values(column: pa.Array | pa.ChunkedArray) -> Iterator[tuple[str, int]]:
    """The distinct texts of a column, and how often each is there."""
    for pair in pc.value_counts(decoded(column).drop_null()).to_pylist():
        yield pair["values"], pair["counts"]


def _counted(column: pa.ChunkedArray, *, upper: bool = False) -> Counter[str]:
    """The words of a column; what is no word is counted as one that is too long to be told."""
    found = Counter[str]()
    for text, count in _values(column):
        word = text.strip().upper() if upper else text.strip()
        if word.casefold() not in _NO:
            found[word if len(word) <= _LONGEST else _NO_WORD] += count
    return found


_NO_WORD = "…"


def _is_currency(text: str) -> bool:
    return text != _NO_WORD and not any(char.isdigit() for char in text)


def _gone(name: str, column: pa.ChunkedArray) -> Counter[str]:
    """The words by which a column of this name says that sales were cancelled."""
    if _MOMENT.search(name):
        there = sum(count for text, count in _values(column) if text.strip().casefold() not in _NO)
        return Counter({"a date": there}) if there else Counter()
    if _STATUS.search(name):
        found = _counted(column)
        return Counter({word: n for word, n in found.items() if _GONE.fullmatch(word)})
    if _FLAG.search(name):
        found = _counted(column)
        return Counter({w: n for w, n in found.items() if w.casefold() in _YES or _GONE.search(w)})
    return Counter()


def _listed(found: Counter[str]) -> str:
    told = [f"{word} ({count:,})" for word, count in found.most_common(_TOLD)]
    more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return ", ".join(told) + more
