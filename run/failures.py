"""A failure in one line for people; the traceback of a surprise goes to the log file."""

from __future__ import annotations

import warehouse
from config import StarSchemaConfig
from errors import ConfigError, EtlError, is_disk_error
from run.logs import logger


def in_words(error: Exception, config: StarSchemaConfig) -> str:
    """What failed, and what to do about it, without the values of rows."""
    if isinstance(error, ConfigError):
        return "; ".join(error.problems)
    if isinstance(error, EtlError):
        return str(error)
    if message := warehouse.in_words(error):
        return message
    if isinstance(error, OSError):
        place = error.filename or f"WORK_DIR {config.work_dir}"
        room = "; make room there or set it to another place" if is_disk_error(error) else ""
        return f"{place}: {error.strerror or 'not writable'}{room}"
    logger.info("traceback", exc_info=error, extra={"file_only": True})
    return f"{type(error).__name__} (a bug; the log file has the details)"
