"""Ignored columns that change what a row means: its currency, or that a sale was cancelled.

Columns with a name of that kind, and currencies told beside amounts, are counted over all
records, so that a warning can say what is being added up.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from common.amount_marks import tells_currencies, told_currencies
from common.arrays import decoded
from common.currencies import currency
from common.star_model import DELETED_FLAG, Source

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
"""The longest text, and the most distinct ones, that can be names of currencies or states."""
_MOST_LISTED = 6


@dataclass
class Meanings:
    """Counts over a file's records, added up batch by batch."""

    symbols: Counter[str] = field(default_factory=Counter)
    """How many amounts have each symbol or code of a currency beside them."""
    currencies: dict[str, Counter[str]] = field(default_factory=dict)
    """By column: how many records have which currency."""
    gone: dict[str, Counter[str]] = field(default_factory=dict)
    """By column: how many records say by which word that they were cancelled."""

    def add(self, other: Meanings) -> None:
        """Add the counts of another batch."""
        self.symbols += other.symbols
        for own, theirs in ((self.currencies, other.currencies), (self.gone, other.gone)):
            for name, found in theirs.items():
                own.setdefault(name, Counter()).update(found)

    def amounts_in(self, ignored: Iterable[str]) -> Counter[str]:
        """How many amounts are in which currency: by what is beside them, and by the columns of
        currencies that nothing is mapped to.
        """
        found = Counter[str]()
        for name in (name for name in ignored if name in self.currencies):
            words = self.currencies[name]
            if len(words) <= _MOST and all(map(_is_currency, words)):
                found += words
        named = Counter[str]()
        for word, count in [*found.items(), *self.symbols.items()]:
            named[currency(word) or word] += count
        return named

    def warnings(self, source: str, ignored: Iterable[str]) -> Iterator[str]:
        """Warnings; `ignored` are the columns of `source` that nothing is mapped to."""
        columns = list(ignored)
        for name in (name for name in columns if self.gone.get(name)):
            yield (
                f"the column {name} is not used, and says {_listed(self.gone[name])}; such sales "
                f"are loaded like any other; {_left_out(source, name, self.gone[name])} leaves "
                "them out, and takes them out of the star"
            )


def _left_out(source: str, column: str, found: Counter[str]) -> str:
    """The setting that leaves such sales out."""
    if all(word == _A_DATE or word.casefold() in _YES for word in found):
        setting, value = "COLUMNS", json.dumps({DELETED_FLAG: column}, ensure_ascii=False)
    else:
        setting, value = "SKIP_WHEN", json.dumps({column: sorted(found)}, ensure_ascii=False)
    return f"{source.upper()}__{setting}='{value}'"


def look_for_meanings(
    source: Source, rows: pa.Table, mapping: Mapping[str, list[str]], ignored: Iterable[str]
) -> Meanings:
    """Count the currencies beside amounts in a batch, and the words of its ignored columns."""
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
    """A column's name as lower-case words with `_` between them."""
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", name)
    return re.sub(r"\W+", "_", words).strip("_").casefold()


def _symbols(column: pa.ChunkedArray) -> Counter[str]:
    found = Counter[str]()
    for chunk in column.chunks:
        is_encoded = pa.types.is_dictionary(chunk.type)
        texts = chunk.dictionary if is_encoded else chunk
        if tells_currencies(texts):
            told = told_currencies(texts)
            for names, count in _values(told.take(chunk.indices) if is_encoded else told):
                found.update(dict.fromkeys(names.split(), count))
    return found


def _values(column: pa.Array | pa.ChunkedArray) -> Iterator[tuple[str, int]]:
    """The distinct texts of a column, and how often each occurs."""
    for pair in pc.value_counts(decoded(column).drop_null()).to_pylist():
        yield pair["values"], pair["counts"]


def _counted(column: pa.ChunkedArray, *, upper: bool = False) -> Counter[str]:
    """How often each word occurs in a column; longer texts count as `_NO_WORD`."""
    found = Counter[str]()
    for text, count in _values(column):
        word = text.strip().upper() if upper else text.strip()
        if word.casefold() not in _NO:
            found[word if len(word) <= _LONGEST else _NO_WORD] += count
    return found


_NO_WORD = "…"
_A_DATE = "a date"


def _is_currency(text: str) -> bool:
    return text != _NO_WORD and not any(char.isdigit() for char in text)


def _gone(name: str, column: pa.ChunkedArray) -> Counter[str]:
    """How often each word for a cancelled sale occurs in a column of this name."""
    if _MOMENT.search(name):
        there = sum(count for text, count in _values(column) if text.strip().casefold() not in _NO)
        return Counter({_A_DATE: there}) if there else Counter()
    if _STATUS.search(name):
        found = _counted(column)
        return Counter({word: n for word, n in found.items() if _GONE.fullmatch(word)})
    if _FLAG.search(name):
        found = _counted(column)
        return Counter({w: n for w, n in found.items() if w.casefold() in _YES or _GONE.search(w)})
    return Counter()


def _listed(found: Counter[str]) -> str:
    words = [f"{word} ({count:,})" for word, count in found.most_common(_MOST_LISTED)]
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    return ", ".join(words) + more
