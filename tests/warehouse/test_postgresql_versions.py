"""Every supported version of PostgreSQL loads a star, repeats it and lets it grow.

All other tests run on 18, of a wheel. The others are those of Debian, and 16 of another wheel.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.absent import not_here
from support.growth import KEY, declared, part_of_the_sales
from support.retailer import Retailer, changes, counts
from support.star import Star

VERSIONS = (15, 16, 17)
LETTERS = os.environ | {"LC_ALL": "C"}


def binaries(version: int) -> Path | None:
    """Where the programs of a version are, if they are on this machine."""
    debian = Path(f"/usr/lib/postgresql/{version}/bin")
    wheel = importlib.util.find_spec("pgserver") if version == 16 else None
    places = [debian]
    if wheel is not None and wheel.origin is not None:
        places.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return next((place for place in places if (place / "initdb").exists()), None)


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """The URL of a PostgreSQL of its own, which refuses to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # the path of a unix socket is short
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    data, log = folder / "data", folder / "log"

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(data), *arguments]
        ended = subprocess.run(
            command, user=user, cwd=folder, env=LETTERS, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"

    try:
        run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c fsync=off -k {folder}"
        run("pg_ctl", "-w", "-t", "300", "-l", str(log), "-o", options, "start")
        try:
            yield f"postgresql+psycopg2://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-w", "-t", "300", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_supported_version_loads_repeats_and_grows(version: int, tmp_path: Path) -> None:
    programs = binaries(version)
    if programs is None:
        not_here(f"PostgreSQL {version}")
    with server(programs) as url:
        shop = Retailer(tmp_path, Star(url, "star"))
        assert int(shop.star.scalar("SHOW server_version_num")) // 10_000 == version
        first = shop.publish()
        assert counts(first, "fact_sales") == (3, 0, 0)
        assert shop.publish()["repeats_run"] == first["run_id"]
        whole = declared(shop.star)
        shop.star.execute(*KEY, "DROP TABLE dim_sales_rep", "DROP INDEX ix_fact_sales_date_key")
        part_of_the_sales(shop)
        assert counts(shop.publish(), "fact_sales") == (1, 1, 0)
        assert declared(shop.star) == whole
        assert changes(shop.publish_in_full()) == 0
