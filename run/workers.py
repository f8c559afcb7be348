"""Who does the work of a run."""

from __future__ import annotations

from pathlib import Path

from common.parallel import Workers
from config import StarSchemaConfig
from errors import ConfigError


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
    return cluster.connect(config.dask_scheduler, folder, {}, config.workers)
