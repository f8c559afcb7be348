"""The look at keys, after they are found: sales that name nobody, or somebody nobody describes.

Nothing is changed here: what looks wrong is said, with ids as examples.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import composed
from common.outcomes import Shares
from common.star_model import Star
from run.clean_source import CleanSource
from warehouse import Warehouse, history
from warehouse.keymap import INFERRED, KeyMap, Named

SHARE = 0.05
"""Above this share of the sales a reference is warned of; with history, above its usual share and
this on top of it.
"""
HISTORY = 10
"""How many published runs make a history."""
_EXAMPLES = 3
_LOOKED_AT = 1000

_ERROR_CELL = re.compile(r"#(N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!|FIELD!)?", re.I)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?|\d{1,2}[./-]\d{1,2}[./-](\d{2}|\d{4})")
_EXPONENT = re.compile(r"[+-]?\d+([.,]\d+)?[eE][+-]?\d{1,2}")
_UNSEEN = "[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"


@dataclass(frozen=True)
class Reference:
    """What a column of the sales names: how many sales name whom, and which of the ids that they
    name no source describes.
    """

    column: str
    source: str
    """The source that describes its members; blank where there is none."""
    named: Named
    members: KeyMap
    ids: pa.Array

    def shares(self) -> dict[str, float]:
        """Of all sales, the share on inferred members and on the Unknown one."""
        sales = max(self.named.sales, 1)
        return {
            "inferred": round(self.named.inferred / sales, 6),
            "unknown": round(self.named.unknown / sales, 6),
        }


def references(
    star: Star, mapped: Collection[str], sales: CleanSource, keys: Mapping[str, KeyMap],
    named: Mapping[str, Named], sources: Collection[str],
) -> list[Reference]:  # fmt: skip
    """The references of the sales, whose columns are `mapped`, that are worth a look: not those to
    a column that they do not have, nor voluntary ones to members without one of the `sources`.
    """
    found = []
    for source in star.members:
        key, has_source = source.key, source.name in sources
        is_expected = has_source or key in star.sales.required
        if key in mapped and key in named and is_expected:
            described_by, members = source.name if has_source else "", keys[source.feeds.name]
            ids = sales.strangers(key)
            found.append(Reference(key, described_by, named[key], members, ids))
    return found


def summary(references: Sequence[Reference]) -> dict[str, Shares]:
    """Per column how many sales were looked at, and the `shares` of them."""
    return {r.column: Shares(r.named.sales, **r.shares()) for r in references}


def look(warehouse: Warehouse, references: Sequence[Reference]) -> list[str]:
    """What to be warned of, given what former runs have left in the warehouse."""
    is_high = any(max(r.shares().values()) > SHARE for r in references)
    former = former_shares(warehouse) if is_high else []
    return [
        warning
        for r in references
        for warning in warnings(r, [run[r.column] for run in former if r.column in run])
    ]


def former_shares(warehouse: Warehouse) -> list[dict[str, dict[str, float]]]:
    """The summaries that the last published runs have left of their references."""
    former = []
    for counts in history.last_counts(warehouse):
        try:
            former.append(counts["fact_loading_results"]["references"])
        except (LookupError, TypeError):
            continue  # of an earlier version, or damaged: it has nothing to tell
    return former


def warnings(reference: Reference, history: Sequence[Mapping[str, float]]) -> list[str]:
    """What to be warned of. `history` has the shares of former runs, as far as one has to know."""
    found = []
    strange = _inferred_ids(reference)
    alike = _look_alikes(strange, reference.members)
    if alike:
        found.append(_of_look_alikes(reference, alike))
    shares = reference.shares()
    if _has_risen("inferred", shares, history):
        found.append(_of_inferred(reference, strange, len(alike)))
    if _has_risen("unknown", shares, history):
        found.append(_of_unknown(reference))
    return found


def _has_risen(
    kind: str, shares: Mapping[str, float], history: Sequence[Mapping[str, float]]
) -> bool:
    before = [run[kind] for run in history if kind in run]
    usual = statistics.median(before) if len(before) >= HISTORY else 0.0
    return shares[kind] > usual + SHARE


def _inferred_ids(reference: Reference) -> pa.Array:
    """The ids of this input whose members nobody describes."""
    if not reference.named.inferred:
        return pa.array([], pa.string())
    positions = reference.members.positions(reference.ids)
    is_inferred = pc.equal(pa.array(reference.members.kinds).take(positions), INFERRED)
    return reference.ids.filter(is_inferred)


# --- keys that are like known ones ---------------------------------------------------------


def _look_alikes(strange: pa.Array, members: KeyMap) -> list[tuple[str, str]]:
    """Pairs of an id that nobody describes and the described member that it is like."""
    if not len(strange):
        return []
    known = members.described()
    by_form = _forms(known)
    found = pc.index_in(_forms(strange), value_set=by_form)
    pairs = zip(
        strange.filter(pc.is_valid(found)).to_pylist(),
        known.take(found.drop_null()).to_pylist(),
        strict=True,
    )
    return list(pairs)


def _forms(keys: pa.Array) -> pa.Array:
    """Keys without what should not make a difference; null where nothing is left."""
    plain = pc.utf8_lower(keys)
    if not pc.all(pc.string_is_ascii(plain)).as_py():
        plain = pc.replace_substring_regex(composed(plain, "NFKC"), _UNSEEN, "")
    has_exponent = pc.match_substring_regex(plain, r"^[+-]?[0-9]+([.,][0-9]+)?e[+-]?[0-9]{1,2}$")
    if pc.any(has_exponent).as_py():
        spelt = [_spelt_out(text) for text in plain.filter(has_exponent).to_pylist()]
        plain = pc.replace_with_mask(plain, has_exponent, pa.array(spelt, pa.string()))
    bare = pc.utf8_rtrim(pc.utf8_ltrim(plain, characters="='\"` 0"), characters="\"'` ")
    bare = pc.replace_substring_regex(bare, r"^([0-9]+)\.0+$", r"\1")
    return pc.if_else(pc.equal(bare, ""), None, bare)


def _spelt_out(text: str) -> str:
    """A number with an exponent in digits: 1.5e+3 is 1500."""
    return f"{Decimal(text.replace(',', '.')):f}"


def _difference(strange: str, known: str) -> str:
    """What makes an id differ from a known key, in words."""
    for words, pattern in _DIFFERENCES.items():
        if bool(re.search(pattern, strange)) != bool(re.search(pattern, known)):
            return words
    return "case" if strange.casefold() == known.casefold() else "leading zeros or other signs"


_DIFFERENCES = {
    '="…" around it': '^="',
    "an apostrophe before it": "^'",
    "an exponent": _EXPONENT.pattern + "$",
    "a .0 at the end": r"\.0+$",
    "unseen marks": _UNSEEN,
    "leading zeros": "^0",
}


def _of_look_alikes(reference: Reference, pairs: list[tuple[str, str]]) -> str:
    causes = Counter(_difference(*pair) for pair in pairs[:_LOOKED_AT])
    examples = ", ".join(f"{a!r} (known: {b!r})" for a, b in _examples(pairs))
    named = ", ".join(cause for cause, _ in causes.most_common(2))
    is_case = causes.keys() == {"case"} and bool(reference.source)
    setting = f", or set {reference.source.upper()}__KEY_CASE=fold" if is_case else ""
    return (
        f"{reference.column}: sales name {_many(len(pairs), 'id')} without a record, different "
        f"from known ones only in {named}{': ' if examples else ''}{examples}; "
        f"as they stand they are members of their own: have both sources write them alike{setting}"
    )


# --- shares ----------------------------------------------------------------------------------


def _of_inferred(reference: Reference, strange: pa.Array, alike: int) -> str:
    named = reference.named
    ids = [(text,) for text in strange[:100].to_pylist()]
    examples = ", ".join(repr(text) for (text,) in _examples(ids))
    return (
        f"{reference.column}: {_share(named.inferred, named.sales)} name "
        f"{_many(len(strange), 'id')} that {reference.source} does not have"
        f"{', such as ' if examples else ''}{examples}; {_cause(strange, alike, reference.source)}"
    )


def _cause(strange: pa.Array, alike: int, source: str) -> str:
    """The likely reason why ids are strange."""
    texts = strange[:_LOOKED_AT].to_pylist()
    for words, pattern in (
        ("they are error cells of a spreadsheet", _ERROR_CELL),
        ("they are dates: is the right column mapped?", _DATE),
        ("they are numbers with an exponent, whose last digits are gone", _EXPONENT),
    ):
        if 2 * sum(bool(pattern.fullmatch(text)) for text in texts) > len(texts):
            return words
    if 2 * alike > len(strange):
        return "most are like known ones: see the warning of ids that differ"
    return f"is {source} complete, and of the same night as the sales?"


def _of_unknown(reference: Reference) -> str:
    named = reference.named
    return (
        f"{reference.column}: {_share(named.unknown, named.sales)} name nobody, for the cell is "
        "blank or a null token, and are on the Unknown member; if an order names its "
        f"{reference.column} only on its first line, FILL_DOWN fills it in on the others"
    )


def _share(count: int, sales: int) -> str:
    return f"{count:,} of {sales:,} sales ({count / max(sales, 1):.1%})"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _examples(rows: Sequence[tuple[str, ...]]) -> list[tuple[Any, ...]]:
    """A few examples; what may be an address of somebody is none."""
    return [row for row in rows if not any("@" in text for text in row)][:_EXAMPLES]
