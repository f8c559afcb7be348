"""What the repository promises about itself: its map, its samples, its habits."""

from __future__ import annotations

import ast
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.generate_docs import ROOT
from tools.sample_data import generate

ORDER = (
    {"errors"},
    {"common"},
    {"schema"},
    {"config"},
    {"sources", "cleaning", "warehouse"},
    {"extract", "transform", "load_dimensions", "load_facts", "validate", "run"},
    {"main"},
    {"cli"},
)
"""A module imports from those to the left of its own only; what stands side by side never does."""
DRIVERS = {"MySQLdb", "mysql", "pymysql"}
"""Of source databases: who has one installs its driver."""
APART = {"tools", "benchmarks", "tests"}
"""The application imports none of them, so that they can judge it."""

PACKAGES = set().union(*ORDER)
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.relative_to(ROOT).parts[0].removesuffix(".py") in PACKAGES
}
"""The application's modules by their dotted names."""


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def statements(path: Path) -> Iterator[ast.AST]:
    """All of a file but what it does as a program: under `if __name__ == "__main__"`."""
    for part in parsed(path).body:
        if not (isinstance(part, ast.If) and "__main__" in ast.unparse(part.test)):
            yield from ast.walk(part)


def imported(path: Path) -> set[str]:
    """The top-level names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in statements(path):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def repository_files() -> list[Path]:
    """The files that belong to the repository, caches and what runs leave behind left out."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
         "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:  # an unpacked archive
        kept = (p for p in ROOT.rglob("*") if not re.search(r"/(\.venv|\.\w+_cache)/", str(p)))
        return [path for path in kept if path.is_file() and path.suffix != ".pyc"]
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def python_files() -> list[Path]:
    """All Python files of the repository."""
    return [path for path in repository_files() if path.suffix == ".py"]


def python(code: str, cwd: Path) -> str:
    """What a fresh interpreter prints that can import the application."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={  # nothing else: what this process has imported may have changed its own
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


# --- the map --------------------------------------------------------------------------------


def rank(module: str) -> int:
    """Where the room that a module is in stands in `ORDER`."""
    room = module.partition(".")[0]
    return next(place for place, rooms in enumerate(ORDER) if room in rooms)


def test_all_that_stands_at_the_top_has_its_place() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} <= PACKAGES
    folders = {path.parent.name for path in ROOT.glob("*/*.py")}
    assert folders - {".venv"} <= PACKAGES | APART


def test_the_rule_is_written_down() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rule = re.findall(r"^\*(errors ← .+)\*$", text, re.MULTILINE)[0]
    stages = "extract | transform | load_dimensions | load_facts | validate"
    places = rule.replace("the five stages", stages).split(" ← ")
    assert [set(place.split(" | ")) for place in places] == list(ORDER)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_what_stands_to_the_left_only(name: str) -> None:
    room = name.partition(".")[0]
    others = imported(MODULES[name]) - {room}
    assert not others & APART
    for other in others & PACKAGES:
        assert rank(other) < rank(room), f"{name} imports {other}"


def test_no_imports_go_in_a_circle() -> None:
    needs = {name: imported_modules(path) & set(MODULES) for name, path in MODULES.items()}
    while free := {name for name, others in needs.items() if not others & set(needs)}:
        needs = {name: others for name, others in needs.items() if name not in free}
    assert not needs


def test_tests_share_what_is_in_support_alone() -> None:
    tests = sorted((ROOT / "tests").rglob("*.py"))
    names = {path.stem for path in tests if path.parent.name != "support"}
    for path in tests:
        assert not imported(path) & names, f"{path.name}: move what is shared to tests/support"


def test_every_folder_of_tests_says_what_goes_there() -> None:
    told = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert set(re.findall(r"`(\w+)/`", told)) == folders - {"__pycache__"}


def imported_modules(path: Path) -> set[str]:
    """The dotted names of all that a file imports; of `from a import b` also `a.b`."""
    names: set[str] = set()
    for node in statements(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (inside & set(MODULES)) or {node.module}
    return names


LONG_FUNCTIONS = {"sources.mapping: _mapping_error": 57}
"""What is longer than it should be, and may only become shorter."""


@pytest.mark.parametrize("name", MODULES)
def test_a_file_has_one_topic_and_a_function_fits_a_screen(name: str) -> None:
    path = MODULES[name]
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 450
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef):
            most = LONG_FUNCTIONS.get(f"{name}: {node.name}", 40)
            assert lines_of(node) <= most, f"{name}: {node.name}"


def lines_of(function: ast.FunctionDef) -> int:
    """The lines of a function, its decorators and docstring left out."""
    first, last = function.lineno, function.end_lineno or 0
    docstring = function.body[0] if ast.get_docstring(function) else None
    told = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return last - first + 1 - told


@pytest.mark.parametrize("name", ["sample_data"])
def test_programs_that_judge_the_application_import_nothing_of_it(name: str) -> None:
    assert not imported(ROOT / "tools" / f"{name}.py") & PACKAGES


def test_transform_touches_neither_files_nor_connections() -> None:
    assert not imported(MODULES["transform"]) & {"pathlib", "os", "io", "warehouse", "spool"}


def test_importing_any_module_does_nothing(tmp_path: Path) -> None:
    """Nothing written, read or connected to; logging and environment left alone."""
    (tmp_path / ".env").write_text("LOG_LEVEL=DEBUG\n", encoding="utf-8")
    told = python(
        f"""
import json, logging, os, sys
seen = []
def listen(event, arguments):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.mkdir", "os.remove"):
        seen.append((event, str(arguments)))
    if event == "open":
        path, mode, flags = arguments
        ours = str(path).startswith({str(tmp_path)!r}) or str(path).startswith({str(ROOT)!r})
        if (flags or 0) & (os.O_WRONLY | os.O_RDWR):
            seen.append(("write", str(path)))
        elif ours and ".venv" not in str(path) and not str(path).endswith((".py", ".pyc")):
            seen.append(("read", str(path)))
before = dict(os.environ), logging.root.handlers[:], logging.root.level
sys.addaudithook(listen)
for name in {sorted(MODULES)!r}:
    __import__(name)
after = dict(os.environ), logging.root.handlers[:], logging.root.level
print(json.dumps([seen, before == after, len(logging.getLogger("star_etl").handlers)]))
""",
        cwd=tmp_path,
    )
    assert json.loads(told) == [[], True, 0]
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize("option", ["--help", "--version", "--no-such-option"])
def test_the_command_line_answers_without_heavy_modules(option: str, tmp_path: Path) -> None:
    told = python(
        "import contextlib, io, json, sys, cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):"
        f" cli.main([{option!r}])\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))",
        cwd=tmp_path,
    )
    heavy = {"pyarrow", "pandas", "numpy", "duckdb", "sqlalchemy", "pydantic", "rich"}
    assert not heavy & set(json.loads(told))


# --- the samples -----------------------------------------------------------------------------


def test_the_samples_are_what_their_generator_makes(tmp_path: Path) -> None:
    generate(tmp_path, sales=20_000, customers=500, products=120, reps=12, seed=42)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(made) == {"customers.csv", "products.json", "sales_transactions.csv"}
    for name, content in made.items():
        assert (ROOT / "data" / name).read_bytes() == content, name


# --- the habits -----------------------------------------------------------------------------

_SQL = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|COPY|SET|ANALYZE|WITH|TRUNCATE|ATTACH)\b"
)
_STATEMENTS = {"execute", "exec_driver_sql", "text", "literal_column", "sql", "query",
               "copy_expert"}  # fmt: skip
SQL_PIECES = {
    "warehouse.base: Warehouse.add_columns": {
        "place",  # quoted names
        "name",
        "definition",  # a column's DDL, compiled by SQLAlchemy
        "ADDED_LATE",  # a literal in the code
    },
    "warehouse.duckdb: DuckDb.snapshot": {"self.qualified(table)"},
    "warehouse.duckdb: DuckDb._set": {
        "name",  # of an option
        "value",  # a literal in the code, or a path that is quoted
    },
    "warehouse.duckdb: DuckDb.append": {"columns", "self.qualified(table)"},
    "warehouse.duckdb: _tables": {"qualified"},
    "warehouse.drift: _lacking_keys": {
        "kind",  # of a key, a literal in the code
        "quoted(name)",
        "quoted(reference.name)",
        "place",
        "key",
        "proof",
    },
    "warehouse.drift: _not_null": {"place", "name"},
    "warehouse.postgresql: PostgreSql._analyze": {"quote(key)", "self.qualified(table)"},
    "warehouse.postgresql: PostgreSql.add_columns": {"self.text_of(AddConstraint(key))"},
    "warehouse.postgresql: PostgreSql.append": {
        "columns",  # quoted names, joined
        "self.qualified(table)",
        "options",  # of COPY, a literal in the code
    },
    "warehouse.postgresql: PostgreSql.fetch": {"self.text_of(statement)"},
}
"""The pieces that SQL text is put together from, by the function that does it: quoted names,
literals and compiled statements. A value is bound instead."""


def _text_pieces(node: ast.expr) -> Iterator[str]:
    """The expressions that are put into a text: by an f-string, `%`, `+` or `.format`."""
    if isinstance(node, ast.JoinedStr):
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield ast.unparse(part.value)
        return
    joined = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add)
    if joined or (isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "format"):
        yield ast.unparse(node)


def _is_sql(node: ast.expr) -> bool:
    """Whether a text expression begins like an SQL statement."""
    first: ast.expr = node
    while True:
        if isinstance(first, ast.JoinedStr) and first.values:
            first = first.values[0]
        elif isinstance(first, ast.BinOp):
            first = first.left
        elif isinstance(first, ast.Call) and isinstance(first.func, ast.Attribute):
            first = first.func.value
        else:
            break
    return isinstance(first, ast.Constant) and bool(_SQL.match(str(first.value)))


def _sql_pieces(tree: ast.AST, function: str) -> Iterator[tuple[str, str]]:
    """Each function of a file in which SQL text is put together, and a piece of that text."""
    for node in ast.iter_child_nodes(tree):
        inside = function
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            inside = f"{function}.{node.name}".lstrip(".")
        if isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in _STATEMENTS:
                yield from ((function, piece) for piece in _text_pieces(node.args[0]))
        if isinstance(node, ast.expr) and _is_sql(node):
            yield from ((function, piece) for piece in _text_pieces(node))
        yield from _sql_pieces(node, inside)


def test_no_value_is_put_into_sql_text() -> None:
    found: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        for function, piece in _sql_pieces(parsed(path), ""):
            found.setdefault(f"{name}: {function}", set()).add(piece)
    assert found == SQL_PIECES


def test_no_code_is_made_from_data() -> None:
    forbidden = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}
    problems = []
    for path in python_files():
        problems += [f"{path.name} imports {name}" for name in imported(path) & forbidden]
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                called, given = ast.unparse(node.func), {k.arg for k in node.keywords}
                if called in ("eval", "exec", "yaml.load", "os.system") or "shell" in given:
                    problems.append(f"{path.name}, line {node.lineno}: {called}")
    assert not problems


def test_everything_public_has_a_docstring() -> None:
    """Modules, classes, functions and methods; a test's name says what it shows."""
    problems = []
    for path in python_files():
        tree = parsed(path)
        problems += [] if ast.get_docstring(tree) else [path.name]
        if not path.is_relative_to(ROOT / "tests"):
            problems += [f"{path.name}: {name}" for name in _undocumented(tree.body)]
    assert not problems


def _undocumented(body: list[ast.stmt], owner: ast.ClassDef | None = None) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and not _is_said_elsewhere(node, owner):
            yield f"{owner.name}.{node.name}" if owner else node.name
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node.body, node)


def _is_said_elsewhere(node: ast.stmt, owner: ast.ClassDef | None) -> bool:
    """Whether it is a method of a Protocol, an override, or a property named for what it is."""
    if owner is None or not isinstance(node, ast.FunctionDef):
        return False
    is_property = "property" in {ast.unparse(d) for d in node.decorator_list}
    return bool(owner.bases) or is_property or node.name == "as_dict"


def test_no_path_of_a_machine_is_committed() -> None:
    machine = re.compile(
        rb"(?<![\w./$}~-])/(work|root|home/\w+|tmp/w|Users/\w+|opt/\w*py\w*)/|[A-Z]:\\\\?Users"
    )
    for path in repository_files():
        content = path.read_bytes()
        if path == Path(__file__) or b"\0" in content[:1000]:
            continue
        found = machine.search(content)
        assert not found, f"{path.relative_to(ROOT)}: {found and found[0]!r}"


# --- requirements ---------------------------------------------------------------------------

PINNED = sorted(ROOT.glob("requirements*.txt"))
_REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[\w,-]+\])?==(\S+)(?: ; .+)? \\$")


def pins(path: Path) -> dict[str, set[str]]:
    """Package -> its pinned versions (one for each Python, if they differ)."""
    found: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := _REQUIREMENT.match(line):
            found.setdefault(match[1], set()).add(match[2])
    return found


def wanted(path: Path) -> set[str]:
    """The packages that an input of `make lock` asks for."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in lines)
    return {name[0].lower().replace("_", "-") for name in names if name}


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed(path: Path) -> None:
    logical = path.read_text(encoding="utf-8").replace("\\\n", "\\ ").splitlines()
    for line in logical:
        if line and not line.lstrip().startswith("#"):
            assert re.match(r"^[a-z0-9._\[\],-]+==[^ ]+( ; [^\\]+)? \\ +--hash=sha256:", line), line
    assert wanted(path.with_suffix(".in")) <= set(pins(path))


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*")), ids=lambda path: path.name)
def test_requirements_name_no_index(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted", _without_comments(text))


def _without_comments(text: str) -> str:
    return re.sub(r"(^|\s)#.*", "", text)


def test_requirements_agree_with_each_other() -> None:
    application = pins(ROOT / "requirements.txt")
    for path in PINNED:
        others = pins(path)
        assert {n: others[n] for n in application if n in others} == {
            n: application[n] for n in application if n in others
        }
    assert set(application) <= set(pins(ROOT / "requirements-dev.txt"))


def test_what_is_imported_is_required_and_no_more() -> None:
    distributions = {
        "charset_normalizer": "charset-normalizer",
        "dotenv": "python-dotenv",
        "email_validator": "email-validator",
        "psycopg2": "psycopg2-binary",
    }
    names = set().union(*(imported(path) for path in MODULES.values()))
    third_party = names - PACKAGES - set(sys.stdlib_module_names)
    used = {distributions.get(name, name) for name in third_party - DRIVERS}
    required = wanted(ROOT / "requirements.in")
    assert used <= required | wanted(ROOT / "requirements-cloud.in")
    # Not imported: the dialect of DuckDB, time zones, and the pin of a dependency.
    assert required - used == {"duckdb-engine", "tzdata", "python-dateutil"}


def test_ci_runs_the_same_as_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert "make test" in text
