"""The notebook, in a real Jupyter kernel: a third environment beside the shell and cron."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import nbclient
import nbformat
import pytest

from support.application import copy_application, copy_samples, copy_tour
from support.retailer import Retailer
from support.waiting import wait_until
from tools.generate_docs import ROOT

FORMAT: Any = nbformat.v4  # its functions have no types
IMPORT = "from config import load_config"
WITHOUT_IPYWIDGETS = """
import sys
class Absent:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "ipywidgets":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


class Listening(nbclient.NotebookClient):
    """Keeps all that its kernel says."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.heard: list[dict[str, Any]] = []

    def process_message(self, msg: dict[str, Any], *args: Any) -> Any:
        self.heard.append(msg)
        return super().process_message(msg, *args)


@dataclass
class Kernel:
    """A fresh kernel, whose working directory has the application's modules and samples."""

    client: Listening
    folder: Path

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """All that was shown in place of something, in its order: what it is known by, whether it
        is new there, and the text.
        """
        found = []
        for message in self.client.heard:
            if place := message["content"].get("transient", {}).get("display_id"):
                text = message["content"]["data"]["text/plain"]
                found.append((place, message["msg_type"], text))
        return found

    def run(self, code: str) -> list[dict[str, Any]]:
        """The outputs of a cell."""
        self.client.nb.cells.append(FORMAT.new_code_cell(code))
        number = len(self.client.nb.cells) - 1
        cell = self.client.execute_cell(self.client.nb.cells[number], number)
        return [dict(output) for output in cell.outputs]

    def all_of(self, notebook: Path) -> list[list[dict[str, Any]]]:
        """The outputs of each cell of code in a notebook."""
        cells = nbformat.read(notebook, 4).cells  # type: ignore[no-untyped-call]
        return [self.run(cell.source) for cell in cells if cell.cell_type == "code"]

    def value(self, expression: str) -> Any:
        """The value of an expression, which JSON can tell."""
        told = self.run(f"import json; print(json.dumps({expression}))")
        assert [output["output_type"] for output in told] == ["stream"], told
        return json.loads(told[0]["text"])


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Starts kernels: with ipywidgets or without, with more settings in the environment, and in
    a folder of the repository.
    """
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        (tmp_path / "jupyter" / name).mkdir(parents=True)
        monkeypatch.setenv(name, str(tmp_path / "jupyter" / name))
    folder = tmp_path / "repository"
    folder.mkdir()
    copy_application(folder)
    copy_samples(folder)

    @contextmanager
    def start(
        *, widgets: bool, settings: dict[str, str] | None = None, place: str = ""
    ) -> Iterator[Kernel]:
        (folder / place).mkdir(exist_ok=True)
        environment = {**os.environ, **(settings or {})}
        if not widgets:
            (tmp_path / "absent").mkdir()
            (tmp_path / "absent" / "sitecustomize.py").write_text(WITHOUT_IPYWIDGETS)
            environment["PYTHONPATH"] = str(tmp_path / "absent")
        client = Listening(
            FORMAT.new_notebook(), timeout=120, kernel_name="python3", allow_errors=True,
            resources={"metadata": {"path": str(folder / place)}},
        )  # fmt: skip
        with client.setup_kernel(env=environment, stderr=None):
            yield Kernel(client, folder)

    return start


def errors(outputs: list[dict[str, Any]]) -> list[str]:
    """What a cell ended in, if it did."""
    return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]


def cells_of(page: str) -> list[str]:
    """The Python of a document, block by block."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("widgets", [True, False], ids=["with ipywidgets", "without ipywidgets"])
def test_every_cell_of_the_documents_runs_in_a_fresh_kernel(
    kernel: Callable[..., Any], widgets: bool
) -> None:
    with kernel(widgets=widgets) as fresh:
        assert (errors(fresh.run("import ipywidgets")) == []) == widgets
        first, *others = cells_of("docs/notebook.md")
        (short,) = cells_of("README.md")
        assert len(others) >= 3
        told = fresh.run(first)
        assert errors(told) == []
        (shown,) = (o["data"]["text/plain"] for o in told if o["output_type"] == "execute_result")
        assert re.fullmatch(r"\(True, \d+\.\d+, \[\]\)", shown)
        assert [o["output_type"] for o in told] == ["display_data", "execute_result"]
        for cell in others:
            told = fresh.run(cell)
            assert errors(told) == []
            assert [o for o in told if o["output_type"] != "execute_result"] == []
        assert fresh.value("[len(by_tier) > 0, loaded['records_unchanged'] > 0]") == [True, True]
        assert fresh.value("checks['validation_errors']") == []
        for cell in (first, short):  # run again, in the same kernel
            told = fresh.run(f"results = None\n{cell}")
            assert errors(told) == []
            assert fresh.value("results['repeats_run'] is not None")


def test_the_tour_is_kept_without_outputs() -> None:
    tour = nbformat.read(ROOT / "examples" / "tour.ipynb", 4)  # type: ignore[no-untyped-call]
    cells = [cell for cell in tour.cells if cell.cell_type == "code"]
    assert len(cells) > 10
    assert [cell.outputs for cell in cells if cell.outputs or cell.execution_count] == []


@pytest.mark.parametrize("widgets", [True, False], ids=["with ipywidgets", "without ipywidgets"])
@pytest.mark.parametrize("place", ["", "examples"], ids=["at the root", "beside the tour"])
def test_the_tour_goes_from_files_to_an_answer(
    kernel: Callable[..., Any], place: str, *, widgets: bool
) -> None:
    with kernel(widgets=widgets, place=place) as fresh:
        before = files_of(fresh.folder)
        outputs = fresh.all_of(copy_tour(fresh.folder))
        assert [error for told in outputs for error in errors(told)] == []
        assert [o for told in outputs for o in told if o.get("name") == "stderr"] == []
        assert max(len(told) for told in outputs) <= 2
        shown = [html_of(o) for told in outputs for o in told]
        for words in ("✔ published", "✔ would publish", "✔ nothing new", "what became of the"):
            assert any(words in html for html in shown), words
        printed = "".join(o["text"] for told in outputs for o in told if "text" in o)
        assert "Sports grew most: by 11.5% from 2024 to 2025." in printed
        assert fresh.value("[desk.exists(), dict(results)['success']]") == [False, True]
        assert files_of(fresh.folder) - before == {"examples/tour.ipynb"}


def files_of(folder: Path) -> set[str]:
    """The files in a folder, but for those that Python keeps for itself."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts}


def html_of(output: dict[str, Any]) -> str:
    """What a page shows of an output; blank where that is text."""
    return str(output.get("data", {}).get("text/html", ""))


PAUSING = """
import time
from pathlib import Path
from config import load_config
from main import StarSchemaETLPipeline

class Pausing(StarSchemaETLPipeline):
    def _run_validation_phase(self, *given):
        Path("reached").touch()
        while not Path("open").exists():
            time.sleep(0.02)
        return super()._run_validation_phase(*given)

config = load_config()
"""


def test_an_interrupted_cell_rolls_back_and_the_next_one_works(
    shop: Retailer, kernel: Callable[..., Any]
) -> None:
    """With a source in DuckDB, where ipywidgets are missing."""
    people = shop.folder / "people.duckdb"
    with duckdb.connect(str(people)) as connection:
        connection.execute("CREATE TABLE people AS SELECT 'C1' AS customer_id, 'Ada' AS first_name")
    source = {"CUSTOMERS__PATH": f"duckdb:///{people}", "CUSTOMERS__QUERY": "people"}
    with kernel(widgets=False, settings=shop.settings(**source)) as fresh:
        assert errors(fresh.run(PAUSING)) == []
        pid = fresh.value("__import__('os').getpid()")

        def interrupt() -> None:
            wait_until((fresh.folder / "reached").exists, "the run loaded its facts")
            wait_until(
                lambda: any("5 of 7: facts" in text for *_, text in fresh.lines),
                "the line said so",
            )
            os.kill(pid, signal.SIGINT)

        waiting = threading.Thread(target=interrupt)
        waiting.start()
        told = errors(fresh.run("results = Pausing(config).run_full_pipeline()"))
        waiting.join()
        assert [line.partition(":")[0] for line in told] == ["KeyboardInterrupt"]
        shown = fresh.lines
        assert {place for place, *_ in shown} == {shown[0][0]}
        assert {kind for _, kind, _ in shown[1:]} == {"update_display_data"}
        assert shown[-1][2].startswith("interrupted: Fact loading phase interrupted; rolled back")
        assert shop.star.tables() == set()  # and nobody holds the warehouse
        (fresh.folder / "open").touch()
        assert errors(fresh.run("results = Pausing(config).run_full_pipeline()")) == []
        assert fresh.value("[results['status'], results['errors']]") == ["published", []]
        assert shop.star.member("dim_customer", "C1")["first_name"] == "Ada"


def test_a_run_works_in_a_thread_and_beside_the_loop_of_the_kernel(
    duckdb_shop: Retailer, kernel: Callable[..., Any]
) -> None:
    with kernel(widgets=True, settings=duckdb_shop.settings()) as fresh:
        assert errors(fresh.run("from main import StarSchemaETLPipeline\nimport asyncio")) == []
        assert errors(fresh.run("from config import load_config\nconfig = load_config()")) == []
        ways = (
            "results = await asyncio.to_thread(StarSchemaETLPipeline(config).run_full_pipeline)",
            "import threading\n"
            "made = threading.Thread(target=StarSchemaETLPipeline(config).run_full_pipeline)\n"
            "made.start()\nmade.join()",
        )
        for way, word in zip(ways, ("published", "nothing new"), strict=True):
            told = fresh.run(way)
            assert errors(told) == []
            assert [text_of(output).partition(":")[0] for output in told] == [word]
        assert fresh.value("[results['status'], results['errors']]") == ["published", []]
    assert len(duckdb_shop.star.runs()) == 2


def test_a_run_that_fails_says_so_in_its_line_and_nowhere_twice(
    duckdb_shop: Retailer, kernel: Callable[..., Any]
) -> None:
    """Nor on stderr, where LOG_LEVEL=DEBUG has what somebody has asked for."""
    settings = duckdb_shop.settings()
    duckdb_shop.path("products").unlink()
    run = "from main import StarSchemaETLPipeline\nfrom config import load_config\n" + (
        "results = StarSchemaETLPipeline(load_config()).run_full_pipeline()"
    )
    with kernel(widgets=True, settings=settings) as fresh:
        (line,) = fresh.run(run)
        assert text_of(line).startswith("failed: Extraction phase failed: products: ")
        fresh.run("import os\nos.environ['LOG_LEVEL'] = 'DEBUG'")
        told = fresh.run(run)
        logged = [output for output in told if output["output_type"] == "stream"]
        assert {output["name"] for output in logged} == {"stderr"}
        assert "INFO: Extraction begins" in "".join(output["text"] for output in logged)
        assert len(told) == len(logged) + 1


def text_of(output: dict[str, Any]) -> str:
    """What an output is as text."""
    return str(output.get("data", {}).get("text/plain", output))


def test_the_star_is_asked_between_two_runs_in_one_kernel(kernel: Callable[..., Any]) -> None:
    """All cells of the page about frames, on the samples, and runs before and after them."""
    run = "results = StarSchemaETLPipeline(load_config()).run_full_pipeline()"
    with kernel(widgets=False) as fresh:
        assert errors(fresh.run(f"from main import StarSchemaETLPipeline\n{IMPORT}\n{run}")) == []
        for cell in cells_of("docs/frames.md"):
            told = fresh.run(cell)
            assert errors(told) == []
        assert fresh.value("[len(sales), len(flat), str(everything.sales[0])]") == [
            19710, 19710, "19710",
        ]  # fmt: skip
        assert fresh.value("str(by_year.net_amount.sum() == sales.net_amount.sum())") == "True"
        (shown,) = fresh.run("star.dim_product")
        assert "<table" in shown["data"]["text/html"]
        assert "first 10 rows" in shown["data"]["text/plain"]
        assert errors(fresh.run(run)) == []
        assert fresh.value("results['status']") == "published"
