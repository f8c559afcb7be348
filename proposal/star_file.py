"""The file with the settings as tables: what it says now, and how it is written."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from common.files import open_private
from errors import EtlError
from proposal.toml_text import StarFileError

_BACKUP = ".bak"


def read(path: Path) -> str | None:
    """What stands in the file, or None where there is none. Raises `StarFileError`."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StarFileError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise StarFileError(f"{path}: is not UTF-8; correct it, or move it away") from None


def values(text: str | None) -> dict[str, Any]:
    """The settings of a text, as values; none where it cannot be read."""
    try:
        return tomllib.loads(text or "")
    except tomllib.TOMLDecodeError:
        return {}


def write(path: Path, text: str) -> Path | None:
    """Write the whole file or nothing, for nobody's eyes but ours; returns where the former one
    is, if there was one. Raises `EtlError`.
    """
    path = path.resolve()
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        former = path.read_bytes() if path.exists() else None
        backup = path.with_name(path.name + _BACKUP)
        if former is not None:
            _put(backup, former)
        _put(made, text.encode())
        made.replace(path)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise EtlError(
            f"{path}: cannot be written ({error.strerror}); nothing was changed"
        ) from None
    return backup if former is not None else None


def _put(path: Path, content: bytes) -> None:
    with os.fdopen(open_private(path, os.O_CREAT | os.O_TRUNC), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o600)
