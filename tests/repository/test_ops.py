"""What ops/ has for whoever runs this each night is right, as far as this machine can tell.

Docker itself is not asked: what the Dockerfile copies is run without it.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from errors import EXIT_CODES
from support.absent import not_here
from support.application import ROOT, TESTS, copy_samples
from support.code import MODULES

OPS = ROOT / "ops"
HOME = "/srv/star-schema-etl"
UNITS = ("star-schema-etl.service", "star-schema-etl.timer")


def text_of(name: str) -> str:
    """A file of ops/."""
    return (OPS / name).read_text(encoding="utf-8")


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, each with its words."""
    lines = [line for line in text_of(name).splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined) if word]


def setting_of_unit(name: str, setting: str) -> str:
    """The value of a setting in a unit."""
    (value,) = re.findall(rf"^{setting}=(.*)$", text_of(name), re.MULTILINE)
    return str(value)


# --- systemd ------------------------------------------------------------------------------------


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, for a project that is here: systemd looks whether what they start is there."""
    if not shutil.which("systemd-analyze"):
        not_here("systemd")
    python = tmp_path / "project" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    for name in UNITS:
        here = text_of(name).replace(HOME, str(tmp_path / "project"))
        (tmp_path / name).write_text(here)
    return tmp_path


def test_systemd_takes_the_units(units: Path) -> None:
    paths = [str(units / name) for name in UNITS]
    ended = subprocess.run(
        ["systemd-analyze", "verify", *paths], capture_output=True, encoding="utf-8", check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_service_is_shut_in(units: Path) -> None:
    """By systemd's own measure: 0 is a sealed box, 10 a shell of root."""
    service = str(units / UNITS[0])
    ended = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", service],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-300:]


def test_the_timer_fires_once_a_night(units: Path) -> None:
    calendar = setting_of_unit(UNITS[1], "OnCalendar")
    ended = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=3", calendar],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env={**os.environ, "TZ": "UTC"},
    )
    assert len(re.findall(r"02:00:00 UTC", ended.stdout)) == 3


def test_what_the_service_may_write_is_what_a_run_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the default settings; all else is read-only there."""
    copy_samples(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    subprocess.run([sys.executable, ROOT / "main.py", "--quiet"], cwd=tmp_path, check=True)
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    writable = {Path(path).name for path in setting_of_unit(UNITS[0], "ReadWritePaths").split()}
    assert {path.relative_to(tmp_path).parts[0] for path in made} == writable


def test_the_service_knows_the_exit_codes() -> None:
    """That `systemctl stop` was heard is no failure; a night that was not loaded is one."""
    assert setting_of_unit(UNITS[0], "SuccessExitStatus") == "143"
    assert 143 not in EXIT_CODES.values()


# --- Docker -------------------------------------------------------------------------------------


def copied_by_docker(folder: Path) -> None:
    """Put into `folder` what the Dockerfile copies, if its ignore file lets it."""
    lines = text_of("Dockerfile.dockerignore").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    for word, rest in instructions("Dockerfile"):
        if word != "COPY" or "--from=" in rest:
            continue
        *sources, target = rest.split()
        for source in sources:
            name = source.rstrip("/")
            assert any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed), name
            if source.endswith("/"):
                shutil.copytree(ROOT / name, folder / target)
            else:
                shutil.copy(ROOT / name, folder / target)


def test_what_is_copied_into_the_image_is_enough_for_a_run(tmp_path: Path) -> None:
    image = tmp_path / "app"
    image.mkdir()
    copied_by_docker(image)
    copy_samples(image)
    for arguments in (["--quiet"], ["check"], ["report"], ["setup", "--print"], ["--help"]):
        ended = subprocess.run(
            [sys.executable, "-P", "main.py", *arguments],
            cwd=image,
            env={**os.environ, "PYTHONPATH": str(image)},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert ended.returncode in (0, 3), ended.stderr[-2000:]
    assert (image / "data" / "warehouse.duckdb").exists()
    assert (image / "data" / "reports" / "latest.html").exists()


def test_all_of_the_application_is_in_the_image(tmp_path: Path) -> None:
    """Its modules, and the files that they read, such as the templates of pages."""
    copied_by_docker(tmp_path)
    rooms = {path.parent for path in MODULES.values()} - {ROOT}
    files = {*MODULES.values(), *(path for room in rooms for path in room.rglob("*.*"))}
    wanted = {str(path.relative_to(ROOT)) for path in files if path.suffix != ".pyc"}
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert wanted <= there


def test_no_secret_and_no_data_can_get_into_the_image() -> None:
    lines = text_of("Dockerfile.dockerignore").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    for name in (".env", "data", "logs", "star.toml", ".git", "tests", "ops"):
        assert not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed)


def test_the_image_is_slim_pinned_by_hashes_and_not_of_root() -> None:
    found = instructions("Dockerfile")
    assert all("slim" in rest for word, rest in found if word == "FROM")
    assert ("USER", "10001") in found
    assert any("--require-hashes" in rest for word, rest in found if word == "RUN")
    assert ("VOLUME", '["/app/data", "/app/logs"]') in found
    last = [word for word, _ in found]
    assert last.index("USER") < last.index("ENTRYPOINT")


def test_hadolint_finds_nothing() -> None:
    if not shutil.which("hadolint"):
        not_here("hadolint")
    ended = subprocess.run(
        ["hadolint", OPS / "Dockerfile"], capture_output=True, encoding="utf-8", check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_compose_file_is_one() -> None:
    if not shutil.which("check-jsonschema"):
        not_here("check-jsonschema")
    ended = subprocess.run(
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", OPS / "compose.yaml"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


def test_no_secret_is_in_ops() -> None:
    """They come from the environment, or from a file that is not here."""
    for path in OPS.rglob("*"):
        if path.is_file():
            for name, value in re.findall(
                r"(\w*PASSWORD\w*|NOTIFY_URL)[=:] ?(\S*)", path.read_text()
            ):
                assert value.startswith("${"), f"{path.name}: {name}"
            assert not re.search(r"://[^/\s:@]+:[^/\s@]+@", path.read_text()), path.name


# --- cron and Airflow ---------------------------------------------------------------------------


def test_the_line_for_cron_is_that_of_the_documents() -> None:
    (line,) = [line for line in text_of("crontab").splitlines() if line.startswith("0 2")]
    for page in ("README.md", "docs/night-watch.md"):
        assert line in (ROOT / page).read_text(encoding="utf-8"), page


@pytest.fixture
def airflow() -> str:
    """An interpreter that has Airflow: the one of AIRFLOW_PYTHON, or our own."""
    given = os.environ.get("AIRFLOW_PYTHON")
    if given:
        return given
    if importlib.util.find_spec("airflow") is None:
        not_here("Airflow")
    return sys.executable


def test_airflow_fails_skips_and_pages(airflow: str, tmp_path: Path) -> None:
    """Its real operators, given a command, or a container, that ends with each exit code."""
    dags = tmp_path / "dags"
    shutil.copytree(OPS / "airflow", dags)
    ended = subprocess.run(
        [airflow, TESTS / "support" / "airflow_outcomes.py", dags],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        },
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["errors"] == {}
    assert found["dags"] == ["star_schema_etl", "star_schema_etl_docker"]
    expected = {
        "0": ["success", 0], "1": ["failed", 0], "2": ["failed", 0], "3": ["failed", 0],
        "4": ["skipped", 0], "5": ["failed", 1], "130": ["failed", 0], "143": ["failed", 0],
    }  # fmt: skip
    assert found["outcomes"] == {"bash": expected, "docker": expected}
