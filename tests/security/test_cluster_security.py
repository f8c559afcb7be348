"""Who may talk to a cluster, and what its processes come to know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import dask
import distributed  # noqa: F401 - brings the defaults of its configuration
import pytest
import sqlalchemy as sa

from support.certificates import certificate
from support.commands import run_command
from support.dask_cluster import DaskCluster
from support.disturbances import Gate
from support.failures import as_sentences
from support.formats import csv_text
from support.processes import Warm
from support.retailer import Retailer

PASSWORD, OTHER_PASSWORD = "Wq7@warehouse/Zk3", "Hx5@source/Vj9"


def identity(certificate: Path, key: Path, authority: Path, *roles: str) -> dict[str, str]:
    """Dask's configuration for processes with this certificate, who trust that authority."""
    files = {"cert": str(certificate), "key": str(key)}
    own = {f"{role}.{part}": path for role in roles for part, path in files.items()}
    return {f"distributed.comm.tls.{k}": v for k, v in {"ca-file": str(authority), **own}.items()}


def in_environment(configuration: dict[str, str]) -> dict[str, str]:
    """A configuration as variables of the environment."""
    return {
        f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": value
        for name, value in configuration.items()
    }


def test_certificates_let_a_run_in_and_nobody_else(
    duckdb_shop: Retailer,
    own_dask_cluster: DaskCluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours, others = certificate(tmp_path, "cluster.example"), certificate(tmp_path, "else.example")
    own_dask_cluster.environment = {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
        **in_environment(identity(*ours, ours[0], "scheduler", "worker")),
    }
    own_dask_cluster.options = ("--host", "tls://127.0.0.1", "--protocol", "tls")
    own_dask_cluster.start(workers=1)
    address = own_dask_cluster.address
    assert address.startswith("tls://")
    for wrong in (identity(*others, others[0], "client"), identity(*others, ours[0], "client")):
        with dask.config.set(wrong):
            code, _, err = run_command(duckdb_shop, capsys, DASK_SCHEDULER=address)
        assert code == 2, err
        assert f"{address}: no scheduler can be reached there" in as_sentences(err)
        assert "or the certificates do not fit" in err
    code, _, err = run_command(duckdb_shop, capsys, DASK_SCHEDULER=address)
    assert code == 2
    assert "needs certificates" in err
    assert "DASK_DISTRIBUTED__COMM__TLS__CA_FILE" in err
    assert duckdb_shop.star.tables() == set()
    with dask.config.set(identity(*ours, ours[0], "client")):
        results = duckdb_shop.publish(DASK_SCHEDULER=address)
    assert results["warnings"] == []


def memory(pid: int) -> Iterator[bytes]:
    """What a process has in its memory, region by region."""
    region = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw.*\n(?:\D.*\n)*?Rss: +([0-9]+) kB")
    regions = region.findall(Path(f"/proc/{pid}/smaps").read_text())
    assert regions
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as content:
        for begin, end, resident in regions:
            if resident != "0":
                content.seek(int(begin, 16))
                yield content.read(int(end, 16) - int(begin, 16))


def holds(pid: int, *texts: str) -> bool:
    """Whether a process has one of these texts in its memory."""
    return any(text.encode() in piece for piece in memory(pid) for text in texts)


def test_no_password_reaches_the_cluster(
    postgresql_shop: Retailer, dask_cluster: DaskCluster, warm: Warm, gate: Gate
) -> None:
    """Neither the warehouse's nor that of a source: their memory is searched."""
    shop = postgresql_shop
    url = sa.make_url(shop.star.url)
    warehouse = url.set(username=url.username or "postgres", password=PASSWORD)
    source = warehouse.set(password=OTHER_PASSWORD)
    (shop.folder / "customers.csv").write_bytes(csv_text(shop.customers))
    env = shop.env_file(
        WAREHOUSE_URL=warehouse.render_as_string(hide_password=False),
        SALES_REPS__PATH=source.render_as_string(hide_password=False),
        SALES_REPS__QUERY="SELECT usename AS sales_rep_id, usename AS first_name FROM pg_user",
        DASK_SCHEDULER=dask_cluster.address,
    )
    run = warm.start(shop.folder, "load_pausing", env, "transformation", str(gate))
    gate.wait()
    assert dask_cluster.written()
    secrets = [PASSWORD, quote(PASSWORD, safe=""), OTHER_PASSWORD, quote(OTHER_PASSWORD, safe="")]
    assert holds(run.pid, PASSWORD)
    assert holds(run.pid, OTHER_PASSWORD)
    for process in dask_cluster.processes():
        assert holds(process.pid, shop.path("transactions").name)
        assert not holds(process.pid, *secrets)
    gate.tell()
    assert run.wait() == 0, run.stderr
