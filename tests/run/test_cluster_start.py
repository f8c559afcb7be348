"""A cluster that is set, and is not there or is not fit: exit code 2, and what to do."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress

import pytest

from common.version import VERSION
from run import cluster, cluster_fitness
from support.application import ROOT, copy_application
from support.code import python
from support.commands import run_command
from support.dask_cluster import DaskCluster
from support.failures import as_sentences
from support.retailer import Retailer

NOWHERE = "tcp://127.0.0.1:1"


def refused(
    shop: Retailer, capsys: pytest.CaptureFixture[str], address: str, **settings: object
) -> str:
    """What a run says that ends with exit code 2 and has touched nothing."""
    code, out, err = run_command(shop, capsys, DASK_SCHEDULER=address, **settings)
    assert code == 2, out + err
    assert "Traceback" not in err
    assert shop.star.tables() == set()
    assert not list((shop.folder / "work").iterdir())
    return as_sentences(out + err)


def test_without_the_setting_nothing_of_dask_is_imported(duckdb_shop: Retailer) -> None:
    told = python(
        "import contextlib, io, json, sys, cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):"
        f" code = cli.main(['--env-file', {duckdb_shop.env_file()!r}])\n"
        "print(json.dumps([code, sorted({n.partition('.')[0] for n in sys.modules})]))",
        cwd=duckdb_shop.folder,
    )
    code, modules = json.loads(told)
    assert code == 0
    assert not {"dask", "distributed"} & set(modules)


def test_a_missing_package_is_named_with_what_installs_it(duckdb_shop: Retailer) -> None:
    env = duckdb_shop.env_file(DASK_SCHEDULER=NOWHERE)
    told = python(
        "import sys, cli\n"
        "class Without:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'distributed':\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "sys.stderr = sys.stdout\n"
        f"print(cli.main(['--env-file', {env!r}]))",
        cwd=duckdb_shop.folder,
    )
    assert told.splitlines()[-1] == "2"
    assert "DASK_SCHEDULER needs the package distributed" in told
    assert "pip install -r requirements-dask.txt" in told
    assert (ROOT / "requirements-dask.txt").exists()


@pytest.mark.parametrize("address", ["head:8786", "http://head:8786", "tcp://head", "inproc://x"])
def test_an_address_that_is_none_is_refused(
    address: str, duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run_command(duckdb_shop, capsys, DASK_SCHEDULER=address)
    assert code == 2
    assert "DASK_SCHEDULER is not an address such as tls://host:8786" in err


def test_a_scheduler_that_is_not_there_is_not_waited_for_for_ever(
    shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    told = refused(shop, capsys, NOWHERE)
    assert f"{NOWHERE}: no scheduler can be reached there" in told


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_somebody_else_at_that_address_is_no_scheduler(
    words: bytes,
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One who says nothing, and one who says something else."""
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    kept.append(listener.accept()[0])
                    kept[-1].sendall(words)

        kept: list[socket.socket] = []
        threading.Thread(target=answer, daemon=True).start()
        told = refused(duckdb_shop, capsys, f"tcp://127.0.0.1:{listener.getsockname()[1]}")
    assert "no scheduler can be reached there" in told


def test_a_cluster_without_workers_is_refused(
    duckdb_shop: Retailer,
    own_dask_cluster: DaskCluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster_fitness, "_WAIT_SECONDS", 1)
    own_dask_cluster.start(workers=0)
    told = refused(duckdb_shop, capsys, own_dask_cluster.address)
    assert "no worker is there" in told


def test_every_process_has_the_same_versions(
    duckdb_shop: Retailer, own_dask_cluster: DaskCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    other = own_dask_cluster.folder / "other"
    other.mkdir(parents=True)
    copy_application(other)
    version = other / "common" / "version.py"
    version.write_text(version.read_text().replace(VERSION, "0.0.9"))
    own_dask_cluster.path = str(other)
    own_dask_cluster.start(workers=1)
    told = refused(duckdb_shop, capsys, own_dask_cluster.address)
    assert f"the scheduler {own_dask_cluster.address}, the worker tcp://127.0.0.1:" in told
    assert f"star-schema-etl is 0.0.9 there and {VERSION} here" in told


def test_every_process_can_import_the_application(
    duckdb_shop: Retailer, own_dask_cluster: DaskCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    own_dask_cluster.path = ""
    own_dask_cluster.start(workers=1)
    told = refused(duckdb_shop, capsys, own_dask_cluster.address)
    assert "the scheduler tcp://" in told
    assert "the worker tcp://" in told
    assert "cannot import the application" in told
    assert "docs/cluster.md" in told


def test_every_worker_sees_the_folder_of_the_run(
    duckdb_shop: Retailer,
    own_dask_cluster: DaskCluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The path of the folder is another one for each process, as on machines that share none."""
    own_dask_cluster.start(workers=2)
    monkeypatch.chdir(duckdb_shop.folder)
    told = refused(duckdb_shop, capsys, own_dask_cluster.address, WORK_DIR="/proc/self/cwd/work")
    assert "/proc/self/cwd/work/run-" in told
    assert "is not seen there" in told
    assert "set WORK_DIR to a folder that all machines have" in told


@pytest.mark.parametrize("other", [None, "a file of the same name"])
def test_every_worker_sees_the_files_of_the_sources(
    other: str | None,
    duckdb_shop: Retailer,
    own_dask_cluster: DaskCluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their path is another one for each process, too."""
    own_dask_cluster.start(workers=1)
    if other is not None:
        (own_dask_cluster.folder / "worker0" / "sales.csv").write_text(other)
    monkeypatch.chdir(duckdb_shop.folder)
    path = "/proc/self/cwd/sales.csv"
    told = refused(duckdb_shop, capsys, own_dask_cluster.address, TRANSACTIONS__PATH=path)
    assert f"{path} is {'not seen' if other is None else 'another file'} there" in told
    assert "put the sources where all machines see the same files" in told
    assert "customers.csv" not in told


def test_a_check_needs_the_cluster_as_well(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    code, out, err = run_command(duckdb_shop, capsys, "check", DASK_SCHEDULER=NOWHERE)
    assert (code, out) == (2, "")
    assert f"{NOWHERE}: no scheduler can be reached there" in err
    assert not (duckdb_shop.folder / "work").exists()


def test_only_this_machine_is_spoken_to_in_the_clear_without_a_word() -> None:
    here = ["tcp://127.0.0.1:8786", f"tcp://{socket.gethostname()}:8786", "tls://192.0.2.1:8786"]
    assert cluster_fitness.in_the_clear(here) == []
    (told,) = cluster_fitness.in_the_clear([*here, "tcp://192.0.2.1:8786"])
    assert "tcp://192.0.2.1:8786 is another machine" in told
    assert "Use tls://" in told
