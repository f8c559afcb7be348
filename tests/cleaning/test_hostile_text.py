"""No rule on free text costs more than the text is long, whatever stands in it.

A rule that searches again and again holds the interpreter, and a run that is to end does not hear
it. So every rule gets a megabyte of what such rules are worst at, and half of it. What costs
little is not compared, and no clock but the processor's is read: a busy machine decides nothing.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaning import dates as date_rules
from cleaning import flags as flag_rules
from cleaning import numbers as number_rules
from cleaning import people as people_rules
from cleaning import products as product_rules
from common import arrays, currencies, date_formats, key_rules
from common.driver_words import explain, without_values
from common.rejects import disarmed, rearmed
from config import load_config
from schema import STAR
from sources.batches import ReadOptions, column_names
from transform import StarSchemaTransformer

SIZE = 1 << 20
LITTLE = 1.0
"""Seconds of the processor that a rule may take for a megabyte without being looked at closer."""

HOSTILE: dict[str, Callable[[int], str]] = {
    "blanks between commas": lambda size: f"x,{' ' * size},y",
    "no-break spaces": lambda size: f"x,{chr(0xA0) * (size // 2)}y, CA 9021",
    "commas": lambda size: ", " * (size // 2),
    "addresses": lambda size: "x, y, AB 12345," * (size // 15),
    "quotes": lambda size: "\"'" * (size // 2),
    "labels of a domain": lambda size: "a@" + "a." * (size // 2),
    "labels of a mailbox": lambda size: "a." * (size // 2) + "@exa.org",
    "brackets": lambda size: "(" * size,
    "digits": lambda size: "9" * size,
    "decimals": lambda size: "0." + "9" * size,
    "groups": lambda size: "1" + ",000" * (size // 4),
    "minuses": lambda size: "-" * size,
    "phones": lambda size: "+1 (212) 555-" * (size // 13),
    "apostrophes": lambda size: "O'" * (size // 2),
    "quoted letters": lambda size: "'a" * (size // 2),
    "colons": lambda size: "a:" * (size // 2),
    "names": lambda size: "mc_" * (size // 3),
    "combining marks": lambda size: "a" + "\u0323\u0301" * (size // 4),
    "combining marks to sort": lambda size: "\u0301" * (size // 4) + "\u0323" * (size // 4),
    "unseen marks": lambda size: "a" + "\u200b" * (size // 3) + "a",
    "lists in lists": lambda size: "[" * size,
    "objects in objects": lambda size: '{"a":' * (size // 5),
    "a long list": lambda size: f"[{'1,' * (size // 2)}1]",
    "cells of a spreadsheet": lambda size: ",=" * (size // 2),
    "unreadable marks": lambda size: "\ufdd0" * (size // 3),
}


def cost(rule: Callable[[str], object], text: str) -> float:
    """The processor's seconds for a text, at the least."""
    started = time.process_time()
    rule(text)
    return time.process_time() - started


def assert_linear(rule: Callable[[str], object], hostile: Callable[[int], str], what: str) -> None:
    """Twice the text costs less than four times as much, where it costs anything.

    A small text comes first, so that a rule that is far off fails soon.
    """
    assert cost(rule, hostile(SIZE >> 5)) < LITTLE, (what, "a small text")
    if (whole := cost(rule, hostile(SIZE))) > LITTLE:
        half = max(cost(rule, hostile(SIZE >> 1)) for _ in range(3))
        whole = min(whole, *(cost(rule, hostile(SIZE)) for _ in range(2)))
        assert whole < 4 * half, (what, whole, half)


def text_rules() -> dict[str, Callable[[Any], object]]:
    """Every public rule for a text or a column, found by the type of what it takes first."""
    modules = (arrays, key_rules, number_rules, date_rules, date_formats, people_rules,
               product_rules, flag_rules, currencies)  # fmt: skip
    return {
        f"{module.__name__}.{name}": taking_a_text(function)
        for module in modules
        for name, function in public_functions(module)
        if name not in NO_TEXTS and (name in OF_COLUMNS or "str" in first_type(function))
    }


OF_COLUMNS: dict[str, tuple[object, ...]] = {
    "composed": (), "unreadable": (), "flags": (), "normal_keys": (), "numbers": (),
    "shares": (), "emails": (), "prices": (),
    "with_hints": (), "dates": (["%d %b %Y %H:%M %Z", "ISO8601"], ZoneInfo("UTC")),
}  # fmt: skip
"""Rules for a column of texts, and what else they take."""
OTHERS: dict[str, tuple[object, ...]] = {
    "parse_date": (["%d %b %Y %H:%M %Z", "ISO8601"], ZoneInfo("UTC")),
    "moment": ("%d %b %Y %H:%M %Z",),
    "phone_number": ("US", "US"),
    "name_from_id": (0,),
}
"""What rules for one text take besides."""
NO_TEXTS = {
    "can_be_one",
    "with_columns",
    "whole", "decoded", "unscaled", "holds_any", "on_values", "distinct_values", "per_distinct",
    "money",
    "date_key", "estimated_cost", "price_tier", "margin_pct", "phones", "split_addresses",
    "date_range", "calendar", "fault",
}  # fmt: skip
"""What takes no text of a source, or several columns: those are tried as columns."""


def public_functions(module: ModuleType) -> list[tuple[str, Callable[..., object]]]:
    """The functions that are defined in a module for others."""
    return [
        (name, inspect.unwrap(function))
        for name, function in vars(module).items()
        if not name.startswith("_")
        and inspect.isfunction(inspect.unwrap(function))
        and inspect.unwrap(function).__module__ == module.__name__
    ]


def first_type(function: Callable[..., object]) -> str:
    """What a function takes first."""
    parameters = list(inspect.signature(function).parameters.values())
    return str(parameters[0].annotation) if parameters else ""


def taking_a_text(function: Callable[..., object]) -> Callable[[Any], object]:
    """A rule as a function of one text alone."""
    name = function.__name__
    if name in OF_COLUMNS:
        return lambda text: function(pa.array([text]), *OF_COLUMNS[name])
    others = OTHERS.get(name, ())

    def rule(text: str) -> object:
        try:
            return function(text, *others)
        except (ValueError, OverflowError):
            return None

    return rule


def test_every_rule_is_either_tried_or_takes_no_text() -> None:
    modules = (arrays, key_rules, number_rules, date_rules, date_formats, people_rules,
               product_rules, flag_rules, currencies)  # fmt: skip
    known = {name.rpartition(".")[2] for name in text_rules()} | NO_TEXTS
    assert {name for module in modules for name, _ in public_functions(module)} <= known


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_rule_costs_more_than_a_text_is_long(hostile: str) -> None:
    rules = {**text_rules(), "disarmed": column_rule(disarmed), "rearmed": column_rule(rearmed)}
    for name, rule in rules.items():
        assert_linear(rule, HOSTILE[hostile], f"{name}: {hostile}")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_name_and_no_error_costs_more_than_it_is_long(hostile: str) -> None:
    reading = ReadOptions("customers", "utf-8", None, 1000)
    rules: dict[str, Callable[[str], object]] = {
        "column_names": lambda text: column_names("here", [text], reading),
        "without_values": without_values,
        "explain": lambda text: explain(Exception(text)),
    }
    for name, rule in rules.items():
        assert_linear(rule, HOSTILE[hostile], f"{name}: {hostile}")


def test_what_is_cut_off_in_quotes_is_no_part_of_a_message() -> None:
    secret = "Ada " * 1000
    assert without_values(f"duplicate entry '{secret}' for key") == "duplicate entry '...'"
    assert without_values("no table 'ada@example.org' here") == "no table '...' here"


def column_rule(rule: Callable[[Any], object]) -> Callable[[str], object]:
    return lambda text: rule(pa.array([text]))


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("source", [source.name for source in STAR.sources])
def test_no_column_costs_more_than_its_text_is_long(source: str, hostile: str) -> None:
    """Every canonical column at once: the dearest of them decides."""
    transformer = StarSchemaTransformer(load_config(env_file=None, environment={}))
    spec = STAR.source(source)
    names = [n for n in (*spec.required, *spec.optional) if n not in ("city", "state")]
    names = [name for name in names if name != "postal_code"]  # so that the address is looked at

    def rule(text: str) -> object:
        cells = {name: pa.array([text]) for name in names}
        return transformer.prepare_batch(source, 0, pa.table(cells))

    assert_linear(rule, lambda size: HOSTILE[hostile](size // 16), f"{source}: {hostile}")


@given(st.text(st.sampled_from("ab, \n\u00a0.-1290AZ"), max_size=60))
def test_an_address_is_taken_apart_as_by_hand(text: str) -> None:
    """The same by splitting at the last two commas."""
    columns = {"address": pa.array([text])}
    columns |= {n: pa.nulls(1, pa.string()) for n in ("city", "state", "postal_code")}
    found = people_rules.split_addresses(columns)
    parts = text.rsplit(",", 2)
    words = parts[-1].split()
    is_one = (
        len(parts) == 3
        and parts[0] != ""
        and "\n" not in parts[0]
        and parts[1].strip() != ""
        and text == text.rstrip()
        and len(words) == 2
        and words[0].removesuffix(".").isalpha()
        and len(words[0].removesuffix(".")) == 2
        and [len(w) for w in words[1].split("-")] in ([5], [5, 4])
        and words[1].replace("-", "").isdigit()
    )
    city = found["city"][0].as_py()
    assert city == (parts[1].strip() if is_one else None)
