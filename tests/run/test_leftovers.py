"""What killed runs leave in the working folder."""

from __future__ import annotations

from pathlib import Path

from common.spool import Spool


def test_folders_of_killed_runs_are_removed_and_those_of_others_are_not(tmp_path: Path) -> None:
    """One was killed before it had its lock."""
    for name in ("run-early", "run-late"):
        (tmp_path / name).mkdir()
    (tmp_path / "run-late" / "in-use").touch()
    with Spool(tmp_path) as first, Spool(tmp_path) as second:
        assert set(tmp_path.iterdir()) == {first.folder, second.folder}
    assert not list(tmp_path.iterdir())
