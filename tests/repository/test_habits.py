"""What no file of the repository does, and what each one has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from support.application import ROOT
from support.code import MODULES, imported, parsed, python_files, repository_files

_SQL = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|COPY|SET|ANALYZE|WITH|TRUNCATE|ATTACH|COMMENT|GRANT)\b"
)

_STATEMENTS = {"execute", "exec_driver_sql", "text", "literal_column", "sql", "query",
               "copy_expert"}  # fmt: skip

SQL_PIECES = {
    "warehouse.base: Warehouse.add_columns": {
        "place",  # quoted names
        "self.quoted(column.name)",
        "definition",  # a column's DDL, compiled by SQLAlchemy
        "late",  # a quoted literal: COMMENT takes no parameter
    },
    "warehouse.citus: Citus._analyze": {
        "columns",  # quoted names, joined
        "self.qualified(table)",
    },
    "warehouse.citus: Citus._remedy": {"name", "business_key(table).name"},  # is shown, and not run
    "warehouse.duckdb: DuckDb.snapshot": {"self.qualified(table)"},
    "warehouse.duckdb: DuckDb._set": {
        "name",  # of an option
        "value",  # a literal in the code, or a path that is quoted
    },
    "warehouse.duckdb: DuckDb.append": {"columns", "self.qualified(table)"},
    "warehouse.duckdb_catalog: present_tables": {"qualified"},
    "warehouse.drift: _lacking_keys": {
        "kind",  # of a key, a literal in the code
        "quoted(name)",
        "quoted(reference.name)",
        "place",
        "key",
        "proof",
    },
    "warehouse.drift: _not_null": {"place", "name"},
    "warehouse.for_others: _make": {"warehouse.qualified(view.table)", "comment"},  # a literal
    "warehouse.for_others: _on_table": {"warehouse.qualified(table)", "text"},
    "warehouse.for_others: _on_column": {"place", "warehouse.literal(wanted)"},
    "warehouse.postgresql: PostgreSql._analyze": {"quote(key)", "self.qualified(table)"},
    "warehouse.postgresql: PostgreSql.add_columns": {"self.text_of(AddConstraint(key))"},
    "warehouse.postgresql: PostgreSql.append": {
        "columns",  # quoted names, joined
        "self.qualified(table)",
        "options",  # of COPY, a literal in the code
    },
    "warehouse.postgresql: PostgreSql.fetch": {"self.text_of(statement)"},
    "warehouse.postgresql: PostgreSql.stream": {"self.text_of(statement)"},
    "warehouse.postgresql_answers: _answered": {
        "text"
    },  # what somebody asks, in a transaction that
    "warehouse.postgresql_answers: _described": {"text"},  # can write nothing
    "warehouse.questions: Question.first": {
        "self.text",
        "rows",  # a number
    },
    "warehouse.rights: for_loader": {  # is shown, and not run
        "_database(warehouse)",
        "grantee",
        "names",
        "on_database",
        "on_schema",
        "pruned",
        "warehouse.quoted(warehouse.schema)",
    },
    "warehouse.rights: for_reader": {
        "_database(warehouse)",
        "grantee",
        "names",
        "warehouse.quoted(warehouse.schema)",
    },
    "warehouse.rights: granted": {
        "role",  # quoted names
        "warehouse.qualified(view)",
        "row.right",  # from the catalog
        "option",  # a literal in the code
    },
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
