"""What the documents say is so: examples are run, tables compared with the code, links followed."""

from __future__ import annotations

import ast
import csv
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import schema
from common.rejects import REASONS, REJECT_COLUMNS
from common.star_picture import sql_type
from config import load_config
from errors import EXIT_CODES
from main import __version__
from support.application import copy_application, copy_samples
from support.retailer import Retailer
from support.terminal import at_a_terminal
from tools import pictures
from tools.generate_docs import ROOT, documents

PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted(ROOT.glob("[a-z]*/README.md")),
    )
}
"""Every document by its path."""
README, OWN_FILES, NOTEBOOK = (
    PAGES[name] for name in ("README.md", "docs/own-files.md", "docs/notebook.md")
)


def section(page: str, title: str) -> str:
    """The part of a page under a heading, up to the next one of its level or above."""
    level, _, _ = title.partition(" ")
    after = PAGES[page].partition(f"\n{title}\n")[2]
    assert after, f"{page} has no heading {title!r}"
    return re.split(rf"\n#{{1,{len(level)}}} ", after)[0]


def rows_of(text: str) -> list[list[str]]:
    """The cells of the Markdown tables in a text, headers left out."""
    tables = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    rows = [line for table in tables for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def unquoted(cell: str) -> str:
    """A cell without its code quotes."""
    return cell.strip("`*")


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder with the application, its samples, and a .venv, as after `make run`."""
    copy_application(tmp_path)
    copy_samples(tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def printed(folder: Path, *command: str, codes: tuple[int, ...] = (0,)) -> str:
    """What a command prints that is run in `folder`, with no settings but those there; what it
    says on stderr, where it has nothing else to say.
    """
    result = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in codes, result.stderr
    return result.stdout or result.stderr


# --- tables and generated parts -------------------------------------------------------------


def test_generated_documents_are_up_to_date() -> None:
    """.env.example, the picture, and the generated parts of the pages: else run `make docs`."""
    for path, text in documents().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make docs`"


def test_the_generated_parts_are_where_they_are_looked_for() -> None:
    assert "| `WAREHOUSE_URL` |" in PAGES["docs/settings.md"]
    assert "Usage: main.py" in section("docs/operations.md", "## The command")
    assert " seconds** for ten million sales" in README


def test_the_env_example_is_the_default() -> None:
    assert load_config(ROOT / ".env.example", {}) == load_config(None, {})


def test_the_help_is_what_is_printed(fresh: Path) -> None:
    told = printed(fresh, ".venv/bin/python", "main.py", "--help")
    assert told in section("docs/operations.md", "## The command")


def test_every_table_is_described_as_it_is() -> None:
    for table in schema.metadata.sorted_tables:
        rows = rows_of(section("docs/star.md", f"### `{table.name}`"))
        told = [(cells[0], cells[1]) for cells in rows]
        assert told == [(name, sql_type(table, name)) for name in table.columns.keys()]  # noqa: SIM118
    titles = re.findall(r"^### `(\w+)`$", PAGES["docs/star.md"], re.MULTILINE)
    assert set(titles) == set(schema.metadata.tables)


def test_the_columns_of_every_source_are_listed() -> None:
    rows = rows_of(section("docs/sources.md", "## Columns"))
    told = {cells[0]: cells[1].split(", ") for cells in rows}
    assert told == {
        spec.name: [*(f"**{c}**" for c in spec.required), *spec.optional]
        for spec in schema.STAR.sources
    }
    assert list(told) == [source.name for source in schema.STAR.sources]


def test_the_reject_reasons_are_listed_in_their_order() -> None:
    rows = rows_of(section("docs/cleaning.md", "## Rejects"))
    assert tuple(unquoted(cells[0]) for cells in rows) == REASONS


def test_the_columns_of_reject_files_are_listed() -> None:
    rows = rows_of(section("docs/operations.md", "## Reject files"))
    assert tuple(unquoted(cells[0]) for cells in rows) == REJECT_COLUMNS


def test_the_exit_codes_are_listed() -> None:
    cells = [cells[0] for cells in rows_of(section("docs/operations.md", "## Exit codes"))]
    told = {int(code) for cell in cells for code in cell.split(", ")}
    assert told == {*EXIT_CODES.values(), 2, 130, 143}


def test_the_keys_of_the_summary_are_listed(duckdb_shop: Retailer) -> None:
    rows = rows_of(section("docs/operations.md", "## The summary"))
    told = {unquoted(cells[0]): cells[1] for cells in rows}
    assert list(told) == list(duckdb_shop.publish())
    assert set(re.findall(r"`(\w+)`", told["status"])) == set(EXIT_CODES)


def test_every_promise_names_tests_that_there_are() -> None:
    rows = rows_of(PAGES["docs/promises.md"])
    assert len(rows) > 20
    for promise, shown_by in rows:
        named = re.findall(r"`(\w+)::(\w+)`", shown_by)
        assert named, promise
        for module, test in named:
            [path] = (ROOT / "tests").rglob(f"{module}.py")
            source = path.read_text(encoding="utf-8")
            assert f"\ndef {test}(" in source, f"{module}::{test}"


def test_the_messages_that_are_explained_are_those_of_the_code() -> None:
    """Fragment for fragment: `…` stands for what differs."""
    shown = {(ROOT / "Makefile").read_text(encoding="utf-8")}
    for path in application_files():
        shown |= set(texts_of(path))
    everything = "\n".join(shown)
    for cells in rows_of(PAGES["docs/troubleshooting.md"]):
        for message in re.findall(r"`([^`]+)`", cells[0]):
            for fragment in message.split("…"):
                assert fragment.strip() in everything, message


def application_files() -> list[Path]:
    """The application's own Python files."""
    rooms = (
        "*.py",
        "common/*.py",
        "sources/*.py",
        "cleaning/*.py",
        "warehouse/*.py",
        "run/*.py",
        "proposal/*.py",
    )
    return [path for room in rooms for path in ROOT.glob(room)]


def texts_of(path: Path) -> Iterator[str]:
    """The texts in a Python file; `…` where an f-string has a value."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_changelog_tells_of_this_version() -> None:
    assert re.search(rf"^#+ \[?{re.escape(__version__)}\b", PAGES["CHANGELOG.md"], re.MULTILINE)


# --- examples -------------------------------------------------------------------------------


def test_the_first_run_is_shown_as_it_prints(fresh: Path) -> None:
    """As text and as a picture, word for word; only the run id and the seconds differ."""

    def comparable(text: str) -> list[str]:
        text = re.sub(r"\d{8}T\d{6}-\w+", "<run>", text)
        text = re.sub(r"in [\d.]+ s, [\d,]+ rows/s", "in <s>", text)
        before, time, after = text.partition(" time  ")
        after = re.sub(r"[▏▎▍▌▋▊▉█]+", "", after)  # the bars of a terminal
        return [*before.split(), *re.sub(r"\b\d+\.\d+\b", "<s>", time + after).split()]

    page = section("docs/operations.md", "## What is said of a run")
    text = page.partition("<!-- first run -->\n```text\n")[2].partition("```")[0]
    told = comparable(printed(fresh, ".venv/bin/python", "main.py"))
    assert told == comparable(text)
    picture = pictures.FOLDER / "console.svg"
    shown = comparable("\n".join(pictures.text_of(picture.read_text(encoding="utf-8"))))
    assert told == shown, "run `make pictures`"


def test_the_page_on_what_comes_after_the_run_shows_what_explain_prints(fresh: Path) -> None:
    """Of a sale of the samples; only the run id and the moment differ."""

    def comparable(text: str) -> str:
        text = re.sub(r"\d{8}T\d{6}-\w+", "<run>", text)
        return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "<moment>", text).strip()

    page = section("docs/after-the-run.md", "## Where does this number come from?")
    (shown,) = blocks(page, "text")
    (command,) = blocks(page, "sh")
    printed(fresh, ".venv/bin/python", "main.py", "--quiet")
    assert comparable(printed(fresh, *command.split())) == comparable(shown)


def write_files(folder: Path, text: str) -> None:
    """The files that a page shows: a path, and a block with the content."""
    files = re.findall(r"`(in/\S+)`[^\n]*:\n\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert files
    for name, content in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def test_the_three_lines_of_the_readme_bring_in_own_files(fresh: Path) -> None:
    write_files(fresh, OWN_FILES)
    (lines,) = blocks(section("README.md", "## Your own files"), "sh")
    assert len(lines.splitlines()) == 3
    told = printed(fresh, "bash", "-ec", lines.replace("main.py setup", "main.py setup --yes"))
    assert "✔ a run would publish: customers 3 of 3 rows, products 2 of 2 rows," in told
    assert "\n ✔ published " in told


def test_the_example_of_own_files_goes_as_it_is_shown(fresh: Path) -> None:
    """At a terminal, where Enter says yes; of what is printed the page shows some lines."""
    example = section("docs/own-files.md", "## An example")
    write_files(fresh, example)
    told: list[str] = []
    runs = 0
    for command, shown in re.findall(r"^\$ python (.*)\n((?:(?!\$ |```).*\n)*)", example, re.M):
        with at_a_terminal(fresh, *command.split()[1:]) as terminal:
            if "setup" in command:
                terminal.sees(r"\[Y/n\] ")
                terminal.types("")
            assert terminal.ends() == 0, terminal.shown
            told = [line.rstrip() for line in terminal.lines]
        left = iter(told)
        for line in shown.splitlines():
            assert line == "…" or line in left, f"{command}: {line}\nis not in\n{told}"
        runs += 1
    assert runs == 3
    assert any("✔ published" in line for line in told)
    (tables,) = blocks(example, "toml")
    assert tables in (fresh / "star.toml").read_text(encoding="utf-8")


def test_only_new_rows_are_read_as_it_is_shown(fresh: Path) -> None:
    """By the settings of the page, of a till in which the sales of the sample are."""
    page = section("docs/each-night.md", "## Only new rows")
    names, *rows = list(csv.reader((fresh / "data" / "sales_transactions.csv").open()))[:4]
    with sqlite3.connect(fresh / "till.db") as till:
        till.execute(f"CREATE TABLE sales ({', '.join(names)}, updated_at)")
        for day, row in enumerate(rows, 1):
            changed = f"2026-01-0{day} 10:00:00"
            till.execute(f"INSERT INTO sales VALUES ({'?, ' * len(row)} ?)", (*row, changed))
    (settings,) = blocks(page, "sh")
    (fresh / ".env").write_text(settings, encoding="utf-8")
    runs = 0
    for block in blocks(page, "console"):
        for command, shown in re.findall(r"^\$ python (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
            told = printed(fresh, sys.executable, *command.split(), codes=(0, 2))
            left = [line.split() for line in told.splitlines()]
            for line in shown.splitlines():
                assert line == "…" or line.split() in left, f"{command}: {line}\nnot in\n{told}"
            runs += 1
    assert runs == 3


def test_the_python_of_the_documents_works(fresh: Path) -> None:
    """The blocks of the README and of the page on notebooks, one after the other."""
    code = [*blocks(README, "python"), *blocks(NOTEBOOK, "python")]
    assert len(code) >= 5
    told = printed(
        fresh,
        sys.executable,
        "-c",
        "\n".join(code) + "\nprint(results['success'], len(by_tier) > 0,"
        " loaded['records_unchanged'] > 0, checks['validation_errors'])",
    )
    assert told.splitlines()[-1] == "True True True []"


def test_after_the_steps_of_erasing_a_person_nothing_of_them_is_left(fresh: Path) -> None:
    """In star, rejects and the file of DuckDB; and the runs go on."""
    customers = fresh / "data" / "customers.csv"
    lines = customers.read_text(encoding="utf-8").splitlines(keepends=True)
    others = [line for line in lines if not line.startswith("C00002,")]
    customers.write_text("".join([*lines, lines[2].replace("Priya", "P.")]), encoding="utf-8")
    printed(fresh, sys.executable, "main.py")
    assert len(files_with(fresh, b"priya.kowalski.2@")) == 3  # source, warehouse and rejects
    customers.write_text("".join(others), encoding="utf-8")
    steps = re.sub("^  ", "", section("docs/personal-data.md", "## Erase a person"), flags=re.M)
    for block in blocks(steps, "sh"):
        printed(fresh, "bash", "-ec", block)
    assert not files_with(fresh, b"priya.kowalski.2@")
    printed(fresh, sys.executable, "main.py")


def files_with(folder: Path, piece: bytes) -> list[Path]:
    """The files that have these bytes somewhere."""
    places = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    return [path for path in places if piece in path.read_bytes()]


# --- what leads elsewhere -------------------------------------------------------------------


def test_the_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    text = "\n".join(PAGES.values())
    named = re.findall(r"(?:`|^)make ([a-z-]+)(?=`| |$)", text, re.MULTILINE)
    assert {"run", "test", "docs", "bench", "test-faults"} <= set(named) <= targets


def anchors(page: str) -> set[str]:
    """What a link can name of a page: its headings, as GitHub and others write them."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[name]):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, heading = link.partition("#")
        path = ((ROOT / name).parent / target).resolve() if target else ROOT / name
        assert path.exists(), f"{name}: {link}"
        if heading:
            assert heading in anchors(path.read_text(encoding="utf-8")), f"{name}: {link}"


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md", "docs/architecture.md"])
def test_every_module_and_folder_that_is_named_exists(name: str) -> None:
    for path in re.findall(r"`((?:[a-z_]+/)*(?:[a-z_]+/|[a-z_]+\.py))`", PAGES[name]):
        assert (ROOT / path).exists(), f"{name}: {path}"


def test_the_map_has_all_that_stands_at_the_top() -> None:
    rows = rows_of(section("docs/architecture.md", "## The map"))
    told = {place for cells in rows for place in re.findall(r"`([^`]+)`", cells[0])}
    modules = {path.name for path in ROOT.glob("*.py")}
    folders = {f"{path.parent.name}/" for path in ROOT.glob("*/__init__.py")}
    assert told == modules | folders | {"tests/"}


def test_every_page_is_reached_from_the_readme() -> None:
    text = README + PAGES["CONTRIBUTING.md"]  # from which those for contributors are
    linked = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)}
    assert set(PAGES) - {"README.md"} <= linked


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150
