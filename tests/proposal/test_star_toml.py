"""A proposal as `star.toml`: what is written is what is read again, and people can read it."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import load_config
from errors import EtlError
from proposal import star_file
from proposal.model import Choice, Proposal, Question, SourceProposal
from proposal.toml_text import StarFileError, as_values, toml_text
from support.examples import examples
from support.tables import Row

TEXTS = st.text(min_size=1, max_size=12)
SETTINGS = st.dictionaries(
    st.sampled_from(["encoding", "delimiter", "escape", "sheet", "records", "quote", "query"]),
    TEXTS,
)
RULES = TEXTS | st.lists(TEXTS, min_size=1, max_size=3) | st.fixed_dictionaries({"value": TEXTS})
COLUMNS = st.dictionaries(
    st.sampled_from(["transaction_id", "customer_id", "unit_price"]),
    RULES | st.fixed_dictionaries({"any": st.lists(TEXTS, min_size=1)}),
    max_size=3,
)
NOTES = st.dictionaries(st.sampled_from(["encoding", "customer_id", "path"]), st.text(max_size=120))


def sales(path: str = "in/sales_*.csv", **settings: Any) -> SourceProposal:
    return SourceProposal("transactions", path, settings)


@examples(5)
@given(TEXTS, SETTINGS, COLUMNS, NOTES, st.lists(st.text(max_size=200), max_size=2))
def test_whatever_is_proposed_is_read_again_as_it_is(
    path: str, settings: Row, columns: Row, evidence: dict[str, str], unknown: list[str]
) -> None:
    given = {**settings, **({"columns": columns} if columns else {})}
    source = SourceProposal("transactions", path, given, evidence, unknown)
    choices = (Choice(path, given), Choice("no", {}))
    questions = [Question("transactions", text, choices) for text in unknown]
    proposal = Proposal({"transactions": source}, {"accept_returns": True}, questions)
    proposal.problems, proposal.unused = unknown, {path: path}
    text = toml_text(proposal)
    assert tomllib.loads(text) == as_values(proposal)
    assert max(map(len, text.splitlines())) < 1500
    again = toml_text(proposal, text)
    assert tomllib.loads(again) == as_values(proposal)


def test_it_reads_like_one_that_a_person_has_written() -> None:
    source = sales(
        encoding="cp1252",
        delimiter="\t",
        escape="\\",
        date_formats=["%d.%m.%Y"],
        columns={
            "transaction_id": ["Belegnr", "#"],
            "quantity": {"value": "1"},
            "product_id": {"any": ["Artikel", "SKU"]},
        },
    )
    source.evidence = {"transaction_id": "800 of 800 unique", "encoding": "ü in 14 lines"}
    source.unknown = ["who sold it"]
    yes = Choice("per cent", {"rate_unit": "percent", "columns": {"discount_rate": "Rabatt %"}})
    question = Question("transactions", "Is 5 in 'Rabatt %' per cent?", (yes, Choice("no", {})))
    proposal = Proposal(
        {"transactions": source},
        {"accept_returns": True},
        [question],
        ["products: no file has them"],
        {"in/README.txt": "it is no table"},
    )
    assert (
        toml_text(proposal)
        == """\
# Found by `python main.py setup`. What each setting means: docs/settings.md.
version = 1
accept_returns = true

[sources.transactions]
path = "in/sales_*.csv"
encoding = "cp1252"                        # ü in 14 lines
delimiter = "\\t"
escape = '\\'
date_formats = ["%d.%m.%Y"]
columns.transaction_id = ["Belegnr", "#"]  # 800 of 800 unique
columns.quantity = { value = "1" }
columns.product_id = { any = ["Artikel", "SKU"] }
# Not known: who sold it
# To be decided: Is 5 in 'Rabatt %' per cent?
# a) per cent
# rate_unit = "percent"
# columns.discount_rate = "Rabatt %"
# b) no

# Missing: products: no file has them
# Not used: in/README.txt: it is no table
"""
    )


def test_the_answer_to_a_question_is_uncommented_in_its_place() -> None:
    choice = Choice("per cent", {"rate_unit": "percent", "columns": {"discount_rate": "Rabatt"}})
    proposal = Proposal({"transactions": sales(columns={"customer_id": "Kunde"})})
    proposal.questions = [Question("transactions", "which?", (choice,))]
    text = toml_text(proposal)
    for line in ('rate_unit = "percent"', 'columns.discount_rate = "Rabatt"'):
        assert f"# {line}\n" in text
        text = text.replace(f"# {line}", line)
    found = tomllib.loads(text)["sources"]["transactions"]
    assert found["rate_unit"] == "percent"
    assert found["columns"] == {"customer_id": "Kunde", "discount_rate": "Rabatt"}


def test_the_settings_of_a_run_are_those_that_are_written(tmp_path: Path) -> None:
    columns = {"transaction_id": ["a", "b"], "quantity": {"value": "1"}}
    proposal = Proposal(
        {"transactions": sales(columns=columns, null_tokens=["", "\\N"], header_row=3)},
        {"accept_returns": True},
    )
    path = tmp_path / "star.toml"
    star_file.write(path, toml_text(proposal))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = load_config(None, {"STAR_FILE": str(path)})
    assert config.accept_returns
    read = config.source("transactions")
    assert (read.columns, read.null_tokens, read.header_row) == (columns, ["", "\\N"], 3)


# --- a file that is there -------------------------------------------------------------------------

BEFORE = """\
# ours, since 2024
version = 1
warehouse_url = "duckdb:///star.duckdb"  # the small one

[sources.transactions]
path = "in/sales_*.csv"
encoding = "latin-1"
extract = "full"

[sources.sales_reps]
path = "reps.csv"  # from HR
columns = { email = "mail" }
"""


def test_what_is_not_proposed_stays_with_its_comments() -> None:
    text = toml_text(Proposal({"transactions": sales(encoding="cp1252")}), BEFORE)
    for line in BEFORE.splitlines():
        assert line in text or line == 'encoding = "latin-1"'
    found = tomllib.loads(text)["sources"]
    assert found["transactions"]["encoding"] == "cp1252"
    assert found["transactions"]["extract"] == "full"


def test_other_files_do_not_inherit_how_a_source_was_read() -> None:
    text = toml_text(Proposal({"transactions": sales("other.csv")}), BEFORE)
    assert tomllib.loads(text)["sources"]["transactions"] == {"path": "other.csv"}


def test_general_settings_come_before_the_tables() -> None:
    proposal = Proposal({"customers": SourceProposal("customers", "c.csv")}, {"phone_region": "DE"})
    found = tomllib.loads(toml_text(proposal, BEFORE))
    assert found["phone_region"] == "DE"
    assert list(found["sources"]) == ["transactions", "sales_reps", "customers"]


@pytest.mark.parametrize(
    "before", ["version = ", "version = 1\nsources = 3\n", "version = 1\n[sources.x]\na=1\na=2\n"]
)
def test_a_file_that_is_none_is_left_alone(before: str) -> None:
    with pytest.raises(StarFileError, match="move it away"):
        toml_text(Proposal({"transactions": sales()}), before)


def test_the_former_file_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "star.toml"
    path.write_text(BEFORE, encoding="utf-8")
    assert star_file.write(path, "version = 1\n") == tmp_path / "star.toml.bak"
    assert (tmp_path / "star.toml.bak").read_text(encoding="utf-8") == BEFORE
    assert path.read_text(encoding="utf-8") == "version = 1\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["star.toml", "star.toml.bak"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(EtlError, match="cannot be written"):
        star_file.write(tmp_path / "nowhere" / "star.toml", "version = 1\n")
    assert json.dumps(sorted(map(str, tmp_path.iterdir()))) == "[]"
