"""A program for an interpreter that has Airflow: what its real operators make of each exit code.

It gets the folder of the DAGs, and prints JSON: the errors of the import, the DAGs, and by operator
and exit code how the task ended and how often somebody was paged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

CODES = (0, 1, 2, 3, 4, 5, 130, 143)


class FakeDocker:
    """A Docker whose container ends with an exit code."""

    def __init__(self, code: int) -> None:
        self.code = code

    def create_container(self, **_: object) -> dict[str, str]:
        """A container."""
        return {"Id": "1"}

    def wait(self, _: str) -> dict[str, int]:
        """How it ended."""
        return {"StatusCode": self.code}

    def images(self, **_: object) -> list[str]:
        """The image is there."""
        return ["star-schema-etl"]

    def attach(self, **_: object) -> list[bytes]:
        """What it has printed."""
        return []

    def __getattr__(self, _: str) -> Callable[..., Any]:
        return lambda *_, **__: {}


def outcome(task: Any, exit_codes: Any) -> tuple[str, int]:
    """How a task ended, and how often somebody was paged."""
    paged: list[str] = []
    exit_codes.page = paged.append
    try:
        task.execute({})
    except Exception as error:  # noqa: BLE001  # of any Airflow
        if "Skip" in type(error).__name__:
            return "skipped", len(paged)
        callbacks = task.on_failure_callback
        for call in callbacks if isinstance(callbacks, list | tuple) else [callbacks]:
            call({"exception": error})
        return "failed", len(paged)
    return "success", len(paged)


def main(folder: str) -> None:
    """Parse the DAGs in `folder`, and run their tasks."""
    sys.path.insert(0, folder)  # as Airflow's own processor does
    import etl_exit_codes
    from airflow.models.dagbag import DagBag

    bag = DagBag(folder, include_examples=False)
    bash = bag.dags["star_schema_etl"].get_task("load")
    docker = bag.dags["star_schema_etl_docker"].get_task("load")
    found: dict[str, dict[int, tuple[str, int]]] = {"bash": {}, "docker": {}}
    command = bash.bash_command
    for code in CODES:
        bash.cwd, bash.bash_command = (
            None,
            command.replace(".venv/bin/python main.py --quiet", f"sh -c 'exit {code}'"),
        )
        found["bash"][code] = outcome(bash, etl_exit_codes)
        type(docker).cli = FakeDocker(code)
        found["docker"][code] = outcome(docker, etl_exit_codes)
    told = {"errors": dict(bag.import_errors), "dags": sorted(bag.dags), "outcomes": found}
    sys.stdout.write(f"\n{json.dumps(told)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
