"""Whether a run is where it belongs: one in a wrong folder must leave nothing there."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL

from config import StarSchemaConfig
from errors import SourceError
from sources.places import look_for
from warehouse.engines import engine_of

_MEMORY = ("", ":memory:")


def absent_sources(config: StarSchemaConfig) -> list[str]:
    """What to say of a folder that looks wrong: a run would be the first to make something here,
    its warehouse or a folder for its log or its work, and of the sources none is there, or none of
    those whose path begins in this folder. Empty where all is well; one source that is missing
    among others is told by the extraction.
    """
    if not _would_make(config):
        return []
    paths = {name: s.path for name, s in config.sources.items() if s.path is not None}
    absent = {name: _absent(path, f"{name.upper()}__PATH") for name, path in paths.items()}
    here = [name for name, path in paths.items() if _begins_here(path)]
    if not all(absent.values()) and not (here and all(absent[name] for name in here)):
        return []
    return [
        *filter(None, absent.values()),
        f"nothing was made in {Path.cwd()}; go to where the project is first (cd /where/it/is), "
        "or name its settings by --env-file and its files by absolute paths",
    ]


def _begins_here(path: str | URL) -> bool:
    return not isinstance(path, URL) and "://" not in path and not Path(path).is_absolute()


def _would_make(config: StarSchemaConfig) -> bool:
    url = config.warehouse_url
    folders = (config.log_file.parent, config.work_dir)
    return engine_of(url).absent(url) is not None or not all(f.is_dir() for f in folders)


def _absent(path: str | URL, setting: str) -> str:
    """What is wrong with a source that is not there; blank where it is, or is on a server."""
    try:
        if not isinstance(path, URL):
            look_for(path, setting)
        elif path.get_backend_name() in ("duckdb", "sqlite"):
            file = path.database or ""
            if file not in _MEMORY and "?" not in file and not Path(file).exists():
                return f"{path}: there is no such file; set {setting} to where the source is"
    except SourceError as error:
        return str(error)
    return ""
