"""Who does the work of a run."""

from __future__ import annotations

from common.parallel import Workers
from config import StarSchemaConfig


def workers_for(config: StarSchemaConfig) -> Workers:
    """The workers that these settings ask for; the caller closes them."""
    return Workers(config.workers)
