"""What columns are called, in several languages and in the exports of shops: `words.toml`."""

from __future__ import annotations

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

EXACT, INNER, WITHIN, ALIKE = 1.0, 0.92, 0.75, 0.6
"""How well a name fits a word: it is the word; it is when what all names begin with is left out;
the word is in it; it is written much like it.
"""
_LEAST_ALIKE = 0.86
_RANK = 0.1  # how much less the last word of a list counts than its first

_SMALL_WORDS = {"the", "of", "in", "von", "der", "des", "de", "du", "del", "do", "da", "di", "van"}

_GENERAL = {
    "name", "id", "code", "no", "nr", "number", "item", "order", "key", "type", "group", "ref",
    "date", "n", "nom", "nome", "nombre", "naam", "numero", "nummer", "codigo", "codice", "data",
    "datum", "fecha", "time", "day", "state", "line", "pos", "class", "total", "title", "label",
    "sum", "value", "x", "row", "count", "tipo", "gruppe", "groupe", "grupo", "cap", "cp", "ca",
    "via", "ep", "pu", "nb", "tax", "price", "amount", "sales", "land", "region", "cost",
    "customer", "client", "kunde", "cliente", "klant", "product", "produkt", "produit", "producto",
    "produto", "prodotto", "artikel", "articolo", "zone", "area", "when", "tag", "seller",
    "transaction", "transaktion", "transaccion", "transacao", "transazione", "transactie", "txn",
}  # fmt: skip
"""Words that mean little inside a longer name."""


def plain(name: str) -> str:
    """A name in small letters without accents, its words with one space between them."""
    spaced = re.sub(r"(?<=[a-z0-9à-ÿ])(?=[A-Z])", " ", name)
    spaced = spaced.replace("ß", "ss").replace("%", " percent ").replace("№", " nr ")
    letters = unicodedata.normalize("NFKD", spaced.casefold())
    bare = "".join(char for char in letters if not unicodedata.combining(char))
    return " ".join(re.sub(r"[^\w]+|_", " ", bare).split())


def compact(name: str) -> str:
    """A plain name without spaces and small words; umlauts may be written with an e."""
    words = [word for word in plain(name).split() if word not in _SMALL_WORDS]
    joined = "".join(words or plain(name).split())
    return re.sub("(?<=[aou])e(?=[bdfghklmnrstz])", "", joined)


@cache
def _tables() -> dict[str, Any]:
    path = Path(__file__).with_name("words.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def words_of(table: str, key: str) -> list[str]:
    """A list of words, such as the status texts of sales that do not count."""
    found: list[str] = _tables()[table][key]
    return found


@dataclass(frozen=True)
class System:
    """A report whose maker documents what its columns mean."""

    name: str
    columns: frozenset[str]
    meanings: Mapping[str, str]
    because: str


@cache
def systems() -> tuple[System, ...]:
    """All reports that are known."""
    return tuple(
        System(
            given["name"],
            frozenset(map(compact, given["columns"])),
            {role: compact(name) for role, name in given["meanings"].items()},
            given["because"],
        )
        for given in _tables()["systems"]
    )


def roles_of(source: str) -> list[str]:
    """What a column of a source may be: the columns of ours, and what must not be taken for one."""
    return list(_tables()[source])


@cache
def _by_compact(source: str) -> dict[str, dict[str, float]]:
    """By compact word, the roles that it names, each with how much it counts."""
    found: dict[str, dict[str, float]] = {}
    for role, words in _tables()[source].items():
        own = role.replace("_", " ")
        for place, word in enumerate([own, *words]):
            weight = EXACT - _RANK * place / (len(words) + 1)
            roles = found.setdefault(compact(word), {})
            roles[role] = max(weight, roles.get(role, 0))
    return found


@cache
def _by_tokens(source: str) -> list[tuple[frozenset[str], str, float]]:
    """The words of a source as sets of their parts, with role and weight."""
    found = []
    for role, words in _tables()[source].items():
        for place, word in enumerate([role.replace("_", " "), *words]):
            parts = frozenset(plain(word).split()) - _SMALL_WORDS
            if len(parts) == 1 and parts <= _GENERAL:
                continue
            weight = WITHIN - _RANK * place / (len(words) + 1)
            found.append((parts, role, weight))
    return found


@lru_cache(10_000)
def fits(name: str, source: str) -> Mapping[str, float]:
    """How well a column's name fits each role of a source, from 0 to 1; only roles that it fits.

    Of a path such as `customer.id` also its last part counts.
    """
    found = dict(_by_compact(source).get(compact(name), {}))
    if not found and (bare := _without_remark(name)):
        return fits(bare, source)
    parts = re.split(r"[./\[\]]+", name)
    if len(parts) > 1:
        for count in range(1, min(len(parts), 3)):
            ending = _by_compact(source).get(compact(" ".join(parts[-count:])), {})
            for role, weight in ending.items():
                less = INNER if count > 1 else WITHIN
                found[role] = max(found.get(role, 0), weight * less)
    for role, weight in _within(name, source).items():
        found[role] = max(found.get(role, 0), weight)
    if not found:
        found = _alike(name, source)
    return found


_REMARKS = {
    "excl", "exkl", "excluding", "ex", "exc", "incl", "inkl", "including", "inc", "before", "after",
    "without", "ohne", "zzgl", "abzgl", "hors", "avant", "apres", "sin", "con", "sem", "com",
    "senza", "zonder", "voor", "na",
}  # fmt: skip
"""Words after which a name says what is in an amount, and no longer what it is."""


def _without_remark(name: str) -> str:
    """The part of a name before a remark such as `excl. VAT`; '' where there is none."""
    words = plain(name).split()
    places = [place for place, word in enumerate(words) if word in _REMARKS and place]
    return " ".join(words[: places[0]]) if places and places[0] < len(words) - 1 else ""


def _within(name: str, source: str) -> dict[str, float]:
    """The roles whose words are part of a name, by how much of the name they are."""
    tokens = frozenset(plain(name).split()) - _SMALL_WORDS
    found: dict[str, float] = {}
    for parts, role, weight in _by_tokens(source):
        if parts and parts <= tokens:
            letters = sum(map(len, parts)) / max(1, sum(map(len, tokens)))
            found[role] = max(found.get(role, 0), weight * (0.5 + 0.5 * letters))
    return found


def _alike(name: str, source: str) -> dict[str, float]:
    """The roles of the word that is written most like a name, if any is."""
    own = compact(name)
    known = _by_compact(source)
    long = [word for word in known if len(word) > 4] if len(own) > 4 else []
    near = difflib.get_close_matches(own, long, 1, _LEAST_ALIKE)
    return {role: weight * ALIKE for role, weight in known[near[0]].items()} if near else {}


def file_fit(name: str, source: str) -> float:
    """How well the name of a file, sheet or list fits a source: 1 or 0.5 where it does."""
    tokens = plain(re.sub(r"[\d]+", " ", name)).split()
    pairs = {" ".join(pair) for pair in pairwise(tokens)}
    words = set(words_of("files", source))
    if pairs & words or {compact(name)} & set(map(compact, words)):
        return 1.0
    return 0.6 if set(tokens) & words else 0.0


def without_common_prefix(names: Iterable[str]) -> dict[str, str]:
    """Each name without the words that all of them begin with, such as a table's name."""
    given = list(names)
    split = [plain(name).split() for name in given]
    count = 0
    while len(split) > 2 and all(len(words) > count + 1 for words in split):
        if len({words[count] for words in split}) > 1:
            break
        count += 1
    return {name: " ".join(words[count:]) for name, words in zip(given, split, strict=True)}


def says(name: str, meaning: str) -> bool:
    """Whether a name has a word of a meaning: `line`, `unit`, `percent`, `net` or `gross`."""
    own = plain(name)
    tokens = set(own.split())
    return any(
        word in tokens or (" " in word and word in own) for word in words_of("meanings", meaning)
    )


def is_one_of(text: str, kind: str) -> bool:
    """Whether a status text is of a kind: `none`, `unclear` or `good`."""
    return _kind_of(text) == kind


_KINDS = ("unclear", "none", "good")
_IN_PART = frozenset({
    "not", "no", "non", "nicht", "kein", "keine", "nao", "pas", "niet", "partially", "partly",
    "teilweise", "teil", "parcial", "parcialmente", "partiel", "partiellement", "parzialmente",
    "gedeeltelijk",
})  # fmt: skip
"""Words by which a status says something other than the word beside them."""


@cache
def _kind_of(text: str) -> str:
    """The kind of a status text, by the whole of it, or by a word that is no good one; else ''."""
    whole = next((kind for kind in _KINDS if compact(text) in _statuses(kind)), "")
    words = [word for word in plain(text).split() if len(word) > 1]
    if whole or len(words) < 2:
        return whole
    if _IN_PART & set(words):
        return "unclear"
    parts = {compact(" ".join(pair)) for pair in pairwise(words)} | set(map(compact, words))
    return next((kind for kind in ("unclear", "none") if parts & _statuses(kind)), "")


def is_flag(name: str) -> bool:
    """Whether a column's name says that a sale which has a yes there does not count."""
    return compact(name) in _flags()


@cache
def _flags() -> frozenset[str]:
    return frozenset(map(compact, words_of("transactions", "cancelled_flag")))


@cache
def _statuses(kind: str) -> frozenset[str]:
    return frozenset(map(compact, words_of("statuses", kind)))
