"""Where the application's own files are, and copies of them."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
ROOMS = (
    "common", "sources", "cleaning", "warehouse", "run", "report", "pages", "proposal", "commands",
)  # fmt: skip
"""The packages of the application, beside its modules at the top."""


def copy_application(folder: Path) -> None:
    """A copy of the application's own code in `folder`."""
    for path in ROOT.glob("*.py"):
        shutil.copy(path, folder)
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))


def copy_samples(folder: Path) -> None:
    """A copy of the samples in a folder `data` of `folder`."""
    (folder / "data").mkdir()
    for path in (ROOT / "data").glob("*.*"):
        if path.suffix in (".csv", ".json"):
            shutil.copy(path, folder / "data")


def copy_tour(folder: Path) -> Path:
    """A copy of the tour in a folder `examples` of `folder`."""
    (folder / "examples").mkdir(exist_ok=True)
    return Path(shutil.copy(ROOT / "examples" / "tour.ipynb", folder / "examples"))
