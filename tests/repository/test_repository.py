"""The map: what stands where, what it may import, and how long it may be."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from support.application import ROOT
from support.code import APART, MODULES, ORDER, PACKAGES, imported, parsed, python, statements


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


@pytest.mark.parametrize("name", MODULES)
def test_a_file_has_one_topic_and_a_function_fits_a_screen(name: str) -> None:
    path = MODULES[name]
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 450
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef):
            assert lines_of(node) <= 40, f"{name}: {node.name}"


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
