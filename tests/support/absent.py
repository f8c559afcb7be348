"""What a machine may lack that runs the tests."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from support.application import ROOT

SHARED_DATA = ROOT.parent / "shared" / "data"
NOT_HERE = "not run here: "


def shared_data(name: str) -> Path:
    """The folder of a real data set, or a skip that names what is absent."""
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(f"the real data is absent: there is no folder {folder}")
    return folder


def not_here(what: str) -> NoReturn:
    """Leave a test out for want of `what`; at the end of all it is told how many those are."""
    pytest.skip(f"{NOT_HERE}{what}")
