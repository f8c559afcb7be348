"""Who does the work of a run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from common.parallel import Workers
from config import StarSchemaConfig
from errors import ConfigError, SourceError
from sources.places import find_places


def workers_for(config: StarSchemaConfig, folder: Path) -> Workers:
    """The workers that these settings ask for; the caller closes them. `folder` is the run's own.

    Raises `ConfigError` when it is a cluster that cannot be reached, or is not fit.
    """
    if config.dask_scheduler is None:
        return Workers(config.workers)
    try:
        from run import cluster  # noqa: PLC0415  # who has no cluster need not install Dask
    except ModuleNotFoundError as error:
        raise ConfigError(
            [
                f"DASK_SCHEDULER needs the package {error.name}: "
                "run pip install -r requirements-dask.txt"
            ]
        ) from None
    return cluster.connect(config.dask_scheduler, folder, _files_of(config), config.workers)


def _files_of(config: StarSchemaConfig) -> dict[str, tuple[int, int]]:
    """The files on disks that the sources are in, with size and time of change. What is wrong with
    a source, the extraction says.
    """
    files: dict[str, tuple[int, int]] = {}
    for name, source in config.sources.items():
        if not isinstance(source.path, str):  # a database, or nothing
            continue
        with suppress(SourceError, OSError):
            for place in find_places(source.path, f"{name.upper()}__PATH").places:
                if place.file is not None:
                    found = place.file.stat()
                    files[str(place.file)] = found.st_size, found.st_mtime_ns
    return files
