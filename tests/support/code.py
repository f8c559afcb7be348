"""The files of the repository, and what they import."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support.application import ROOT

ORDER = (
    {"errors"},
    {"common"},
    {"schema"},
    {"config"},
    {"sources", "cleaning", "warehouse"},
    {"extract", "transform", "load_dimensions", "load_facts", "validate", "star", "run"},
    {"report"},
    {"pages"},
    {"main", "proposal"},
    {"commands"},
    {"cli"},
)
"""A module imports from those to the left of its own only; what stands side by side never does."""
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
