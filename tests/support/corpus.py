"""The folders of `corpus`, each of which holds the files of one oddity."""

from __future__ import annotations

import json
from pathlib import Path

from support.application import TESTS
from support.retailer import FILES
from support.tables import Row

CORPUS = TESTS / "corpus"
SOURCE_OF = {Path(file).stem: source for source, file in FILES.items()}
EXPECTED = {
    path.parent.name: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(CORPUS.glob("*/expected.json"))
}
REFUSED = [name for name, expected in EXPECTED.items() if "error" in expected]
READ = [name for name in EXPECTED if name not in REFUSED]
VALUES = [name for name in READ if EXPECTED[name].get("same_in_every_format")]


def settings_of(oddity: str, folder: Path) -> Row:
    """The settings that make the oddity's files, written to a place in `folder`, the sources."""
    folder = folder / oddity
    folder.mkdir()
    expected = EXPECTED[oddity]
    settings = dict(expected.get("settings", {}))
    for path in sorted((CORPUS / oddity).iterdir()):
        if path.name != "expected.json":
            written = folder / path.name
            written.write_bytes(as_bytes(path, **expected.get("bytes", {}).get(path.name, {})))
            settings[f"{SOURCE_OF[path.stem].upper()}__PATH"] = written
    return settings


def as_bytes(
    path: Path, encoding: str = "utf-8", newline: str = "\n", replace: Row | None = None
) -> bytes:
    """A file of the corpus, which is UTF-8 with LF so that people can read it, as it is meant."""
    text = path.read_bytes().decode()
    for old, new in (replace or {}).items():
        assert old in text
        text = text.replace(old, new)
    return text.replace("\n", newline).encode(encoding)
