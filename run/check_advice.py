"""What would help against refused rows: the setting to paste, found by trying it.

A setting is proposed only when the run's own rules accept with it what they refuse without it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from common.date_formats import ISO_8601
from common.date_numbers import FORMS
from common.results import REASON, Clean
from config import StarSchemaConfig

_COLUMN = {"invalid_date": "transaction_date", "invalid_discount": "discount_amount"}
"""The column whose values are the details of a reason that is not called by it."""
_DAYS = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%Y%m%d", "%d%m%Y", "%m%d%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y",
    "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d. %B %Y",
)  # fmt: skip
_WITH_DAYS = ("%a %b %d %Y %H:%M:%S GMT%z", "%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %Z")
"""How browsers and mail write moments."""
_LANGUAGES = ("de", "fr", "es", "pt", "it", "nl")
"""Whose names of months are tried where the English ones do not help."""
_TIMES = (" %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
_MOST = 0.9
"""The share of the values looked at that a setting must make readable to be proposed."""
_FEW = 0.1
"""Of dates that cannot be read, a smaller share does not put the format in doubt."""
_SAMPLE_ROWS = 5_000
_TEXT_FORMATS = {"csv"}
_FIELDS = re.compile(r"\d+ fields, the header has")

_ADVICE = {
    "missing_key": "see these rows, or map the column in {source}__COLUMNS",
    "invalid_text": "correct the text in the source",
    "date_out_of_range": "sales are accepted from 1900 to the end of next year",
    "non_positive_quantity": "ACCEPT_RETURNS=true would allow returns",
    "non_positive_price": "ACCEPT_FREE_ITEMS=true would allow 0, and nothing below",
    "invalid_discount": "an amount is 0 or more, a rate from 0 to 1 or 0% to 100%",
    "negative_net_amount": "the discount is above quantity x unit_price; if it is a rate, map it "
    "to discount_rate in {source}__COLUMNS",
    "conflicting_duplicate": "of rows with one key the last counts; if each is a row of its own, "
    "map the columns that make the key in {source}__COLUMNS",
}
_NO_NUMBER = "correct them in the source: no setting makes numbers of them"
HINT = re.compile(r" \((?:it looks like|it ends in|if it is) [^()]*\)$")
"""What the rules add to a value that they refuse."""
_NO_DATE = "say in {source}__DATE_FORMATS how dates are written, as a JSON list of strptime formats"


class Adviser:
    """Looks for the settings that would help one source."""

    def __init__(
        self,
        config: StarSchemaConfig,
        source: str,
        formats: set[str],
        mapping: Mapping[str, list[str]],
        sample: pa.Table | None,
        cleaning: Callable[[StarSchemaConfig], Clean],
    ) -> None:
        """`formats` are those of its files, `sample` is its first batch under canonical names;
        `cleaning` gives the rules under changed settings.
        """
        self._config = config
        self._cleaning = cleaning
        self._source = source
        self._declared = config.star.source(source)
        self._formats = formats
        self._mapping = mapping
        self._sample = None if sample is None else sample.slice(0, _SAMPLE_ROWS)

    def for_reason(self, reason: str, details: Sequence[str], *, share: float) -> str:
        """What would help rows that are refused for `reason`, some of whose details are given;
        `share` is that of these rows.
        """
        accepted = share < 1
        if reason == "malformed_row":
            is_cut = not accepted and bool(self._formats & _TEXT_FORMATS)
            is_cut = is_cut and any(_FIELDS.match(detail) for detail in details)
            more = f", or set {self._setting('DELIMITER')}" if is_cut else ""
            return f"see these records in the source{more}"
        if self._is_date(reason):
            probe = self._probe(reason, details)
            return self._formats_for(probe, reason, accepted=accepted, share=share)
        found = self._rate_unit() if reason == "invalid_discount" else ""
        if (
            not found
            and reason == "invalid_discount"
            and all(detail.endswith("%") for detail in details)
        ):
            found = self._as_rate()
        if not found and self._is_number(reason):
            found = self._separator(self._probe(reason, details), reason)
        if found:
            return found
        words = _ADVICE.get(reason, _NO_NUMBER if self._is_number(reason) else "")
        return words.format(source=self._source.upper())

    def for_attribute(self, name: str) -> str:
        """What would help values of an attribute that are not usable."""
        if self._sample is None:
            return ""
        if self._is_date(name):
            given = len(self._sample) - self._sample[name].null_count
            unusable = self._unusable(self._sample, name)
            share = unusable / max(given, 1)
            return self._formats_for(self._sample, name, accepted=unusable < given, share=share)
        if self._is_number(name):
            return self._separator(self._sample, name) or _NO_NUMBER
        return ""

    def _is_number(self, what: str) -> bool:
        """Whether a reason or an attribute is about a number."""
        return _column(what) in self._declared.numbers

    def _is_date(self, what: str) -> bool:
        return _column(what) in self._declared.dates

    def _faults_of_numbers(self) -> list[str]:
        """The reasons or attributes that tell of numbers which cannot be read."""
        numbers = [n for n in self._declared.numbers if n in self._declared.feeds.columns]
        if not self._declared.describes_facts:
            return numbers
        reasons = {column: reason for reason, column in _COLUMN.items()}
        return [reasons.get(name, f"invalid_{name}") for name in numbers]

    def _setting(self, part: str) -> str:
        return f"{self._source.upper()}__{part}"

    def _probe(self, reason: str, details: Sequence[str]) -> pa.Table:
        """Sales without a fault, but for the column that is refused."""
        details = [HINT.sub("", detail).removeprefix("line_amount ") for detail in details]
        size, declared = len(details), self._declared
        columns = dict.fromkeys(declared.required, ["M"] * size)
        columns |= dict.fromkeys(declared.numbers, ["1"] * size)
        columns |= dict.fromkeys(declared.dates, ["2020-01-01"] * size)
        columns[declared.key] = [str(number) for number in range(size)]
        own = {name: column for name, column in columns.items() if name in declared.required}
        return pa.table(own | {_column(reason): list(details)})

    def _unusable(self, table: pa.Table, what: str, **changed: Any) -> int:
        """How many rows of `table` have the fault `what` when settings of the source are others."""
        if not self._is_date(what) and table is not self._sample:
            changed |= {"date_formats": [ISO_8601]}  # of the probe
        config = self._config.with_source(self._source, **changed)
        cleaned = self._cleaning(config)(self._source, 0, table)
        reasons = Counter(cleaned.rejects[REASON].to_pylist())
        return reasons[what] + cleaned.issues.get(what, 0)

    def _separator(self, table: pa.Table, what: str) -> str:
        """The other decimal separator, if with it such values are numbers and no others cease to
        be.
        """
        now = self._config.source(self._source).decimal_separator
        other = "," if now == "." else "."
        before = self._unusable(table, what)
        after = self._unusable(table, what, decimal_separator=other)
        if not before or after > (1 - _MOST) * before:
            return ""
        if self._formats <= _TEXT_FORMATS and self._sample is not None:
            worse = [
                fault
                for fault in self._faults_of_numbers()
                if self._unusable(self._sample, fault, decimal_separator=other)
                > self._unusable(self._sample, fault)
            ]
            if worse:
                return "some numbers have a decimal point and some a decimal comma: correct them"
        return f"set {self._setting('DECIMAL_SEPARATOR')}={other}{_most(before, after)}"

    def _formats_for(self, table: pa.Table, what: str, *, accepted: bool, share: float) -> str:
        """The date formats that read such values, which are so large a share of all."""
        now = list(self._config.source(self._source).date_formats) if accepted else []
        before = self._unusable(table, what)
        texts = table[_column(what)].to_pylist()
        own, found = self._config.source(self._source).locale, dict[str, int]()
        for language in dict.fromkeys([own, *(_LANGUAGES if _has_words(texts) else ())]):
            for candidate in _candidates(texts):
                changed = {"date_formats": [*now, candidate], "locale": language}
                after = self._unusable(table, what, **changed)
                if after <= (1 - _MOST) * before:
                    found[candidate] = after
            if found:
                break
        best = [c for c, after in found.items() if after == min(found.values())]
        if not best or not before:
            return self._no_date(texts, share)
        if language != own:
            return self._in_language(language, [*now, best[0]], before, found[best[0]])
        setting = self._setting("DATE_FORMATS")
        proposals = [f"{setting}='{json.dumps([*now, candidate])}'" for candidate in best]
        doubt = "; day and month can be told apart by nobody but you" if len(best) > 1 else ""
        return f"set {' or '.join(proposals)}{_most(before, found[best[0]])}{doubt}"

    def _in_language(self, language: str, formats: list[str], before: int, after: int) -> str:
        """The settings for dates whose months have names of another language."""
        pasted = json.dumps(formats, ensure_ascii=False)
        return (
            f"set {self._setting('LOCALE')}={language} and "
            f"{self._setting('DATE_FORMATS')}='{pasted}'{_most(before, after)}"
        )

    def _no_date(self, texts: Sequence[str | None], share: float) -> str:
        """What is to be said where no format helps."""
        if share < _FEW:  # how dates are written is known
            return "correct these in the source: the other dates can be read"
        said = _NO_DATE.format(source=self._source.upper())
        named = sum(bool(text and re.search(r":\d\d.* ?[A-Z]{3,5}$", text)) for text in texts)
        if 2 * named > len(texts):
            said = f"set {self._setting('TIMEZONE')} to the zone that they name; else {said}"
        return said

    def _rate_unit(self) -> str:
        """The other unit, if with it rates are in range and no others cease to be."""
        now = self._config.source(self._source).rate_unit
        if self._sample is None or "discount_rate" not in self._mapping or now == "percent":
            return ""
        before = self._unusable(self._sample, "invalid_discount")
        after = self._unusable(self._sample, "invalid_discount", rate_unit="percent")
        if not before or after > (1 - _MOST) * before:
            return ""
        return f"set {self._setting('RATE_UNIT')}=percent if 5 is 5 %{_most(before, after)}"

    def _as_rate(self) -> str:
        """The mapping that takes percentages for a rate."""
        own = self._mapping.get("discount_amount")
        if own is None or "discount_rate" in self._mapping:
            return ""
        columns = dict(self._config.source(self._source).columns)
        columns.pop("discount_amount", None)
        columns["discount_rate"] = own[0] if len(own) == 1 else own
        pasted = json.dumps(columns, ensure_ascii=False)
        return f"percentages are a rate: set {self._setting('COLUMNS')}='{pasted}'"


def _column(what: str) -> str:
    """The column that a reason, or an attribute, is about."""
    return _COLUMN.get(what, what.removeprefix("invalid_"))


def _most(before: int, after: int) -> str:
    return f" (it reads {before - after:,} of the {before:,} looked at)" if after else ""


def _candidates(values: Sequence[str | None]) -> Iterator[str]:
    """Formats of the shape that most dates of a source have."""
    yield ISO_8601
    texts = [text for text in values if text]
    if sum(text[:1].isdigit() and ":" not in text for text in texts) * 2 > len(texts):
        yield from FORMS
    if sum(text[:3].isalpha() and ":" in text for text in texts) * 2 > len(texts):
        yield from _WITH_DAYS
    has_time = sum(":" in text for text in texts) * 2 > len(texts)
    has_zone = sum(map(_has_zone, texts)) * 2 > len(texts)
    for day in _DAYS:
        for time in _TIMES if has_time else ("",):
            for zone in (" %z", "%z") if has_zone else ("",):
                yield f"{day}{time}{zone}"


def _has_words(values: Sequence[str | None]) -> bool:
    """Whether most dates of a source have a word, as a name of a month is."""
    texts = [text for text in values if text]
    return sum(bool(re.search(r"[^\W\d_]{3,}", text)) for text in texts) * 2 > len(texts)


def _has_zone(text: str) -> bool:
    """Whether a time is followed by an offset, as in 14:30+01:00."""
    offset = re.search(r"[+-]\d\d:?\d\d$", text)
    return offset is not None and ":" in text[: offset.start()]
