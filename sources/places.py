"""Finding the files of a source: local or in a cloud, single, in folders or in archives."""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from errors import SourceError
from sources.archives import members
from sources.file_names import (
    archive_and_members,
    is_archive,
    is_hidden,
    is_hidden_table,
    is_prose,
    is_table,
    may_be_prose,
    natural,
    reason_to_pass_over,
)
from sources.streams import Place, open_content, with_os_errors

_NEARLY_NOTHING = 200  # bytes; an empty file has fewer when it is compressed


@dataclass(frozen=True)
class Found:
    """The files of a source, and the names of files that were passed over, each with the reason."""

    places: list[Place]
    passed_over: list[str]
    empty: list[str] = field(default_factory=list)
    """Those among them that have no byte: something may be missing."""


def find_places(path: str, setting: str, folder: Path | None = None) -> Found:
    """The files of a path, folder, glob or cloud URL, in the natural order of their names.

    Each member of a zip or tar archive is a file of its own; `export.zip!*.csv` selects some of
    them. A compressed tar archive is unpacked in `folder`, without a name there. Files that are no
    tables are passed over if there are others. Raises `SourceError`, which names `setting`, when
    there is no file.
    """
    archive, pattern = (path, "*") if Path(path).exists() else archive_and_members(path)
    scheme = urlsplit(archive).scheme.lower()
    if scheme == "file":
        archive = urlsplit(archive).path
    is_url = "://" in archive
    found, passed_over = (
        _find_cloud(archive, scheme, setting) if is_url else _find_local(archive, setting)
    )
    places, none = _kept(found, _Beside(found, archive))
    passed_over += none
    files: list[Place] = []
    for place in places:
        inside, links = members(place, pattern, folder)
        passed_over += links
        if pattern == "*" and inside[0].member is not None:
            inside, none = _kept(inside, _Beside(inside, ""))
            passed_over += none
        files += inside
    filled, empty = _kept(files, lambda place: "zero bytes" if _is_empty(place) else "")
    return Found(filled, passed_over + empty, empty)


def look_for(path: str, setting: str) -> None:
    """Raises `SourceError`, which names `setting`, where `find_places` would find no file. A cloud
    is not asked, nor is an archive opened.
    """
    archive, _ = (path, "*") if Path(path).exists() else archive_and_members(path)
    if urlsplit(archive).scheme.lower() == "file":
        archive = urlsplit(archive).path
    if "://" not in archive:
        _find_local(archive, setting)


def _kept(places: list[Place], reason: Callable[[Place], str]) -> tuple[list[Place], list[str]]:
    """The places without those for which there is a `reason`, and the names of these with it.

    All are kept if none would remain: opening them then says what is wrong.
    """
    if len(places) == 1:
        return places, []
    reasons = [reason(place) for place in places]
    kept = [place for place, why in zip(places, reasons, strict=True) if not why]
    if not kept:
        return places, []
    lost = [f"{p.label} ({why})" for p, why in zip(places, reasons, strict=True) if why]
    return kept, lost


class _Beside:
    """Why a file is none of the data, by its name, among others that are there for `path`."""

    def __init__(self, places: Sequence[Place], path: str) -> None:
        self._has_tables = any(is_table(p.label) or is_archive(p.label) for p in places)
        self._given = len(PurePosixPath(_without_wildcards(path)).parts)
        wild = PurePosixPath(path).parts[self._given :]
        self._is_asked_for = any(part.startswith(("_", ".")) for part in wild)

    def __call__(self, place: Place) -> str:
        name = place.member or place.name
        parts = PurePosixPath(name).parts[0 if place.member else self._given :]
        if not self._is_asked_for:
            if any(map(is_hidden, parts)):
                return "hidden"
            if any(part.startswith("_") and "=" not in part for part in parts):
                return "no table"
        reason = "" if parts[-1].startswith("_") else reason_to_pass_over(name)
        if not reason and self._has_tables and may_be_prose(name):
            return "no table" if _is_prose(place) else ""
        return reason


def _without_wildcards(path: str) -> str:
    """The folder that a path or pattern begins with, or the path itself."""
    begin = path
    while glob.has_magic(begin):
        begin = begin.rpartition("/")[0]
    return begin


def _is_prose(place: Place) -> bool:
    """Whether a file is a text for people, by its first line."""
    try:
        with open_content(place) as content:
            return is_prose(content.head)
    except (OSError, SourceError):
        return False  # opening it says what is wrong


def _is_empty(place: Place) -> bool:
    """Whether a file is empty, after decompression."""
    try:
        if place.size() > _NEARLY_NOTHING:
            return False
        with open_content(place) as content:
            return not content.head
    except (OSError, SourceError):
        return False  # opening it says what is wrong


def _find_local(path: str, setting: str) -> tuple[list[Place], list[str]]:
    place, passed_over = Path(path), list[str]()
    if place.is_dir():
        names, folders = _files_in(str(place), _local_entries)
        files = [Path(name) for name in names]
        passed_over = [_of_a_folder(path, folder, setting) for folder in folders]
        if not files:
            inside = any(p.is_dir() for p in place.iterdir())
            raise SourceError(
                f"{place}: the directory holds no files; "
                + (
                    f"for those in its folders set {setting}={place}/**/*"
                    if inside
                    else f"see {setting}"
                )
            )
    elif place.is_fifo():
        raise SourceError(
            f"{place}: it is a pipe, and a source is read more than once; write it to a file, and "
            f"set {setting} to that"
        )
    elif place.exists():
        files = [place]
    else:
        files = [file for name in _matching(path) if _is_file(file := Path(name))]
    if not files:
        wild = glob.has_magic(path)
        kind = "no file matches this pattern" if wild else "there is no such file"
        raise SourceError(f"{path}: {kind}; set {setting} to where the source is")
    once, twice = _once(sorted(set(files), key=lambda file: natural(str(file))))
    return [_local(file) for file in once], [*passed_over, *twice]


def _once(files: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The files, each once though links lead to it, and the names of the links."""
    if len(files) == 1:
        return list(files), []
    named: dict[str, list[Path]] = {}
    for file in files:
        named.setdefault(os.path.realpath(file), []).append(file)
    kept = {
        min(names, key=lambda file: (file.is_symlink(), len(file.parts)))
        for names in named.values()
    }
    return (
        [file for file in files if file in kept],
        [f"{file} (a link to a file that is read)" for file in files if file not in kept],
    )


def _matching(pattern: str) -> Iterator[str]:
    """The paths that a pattern matches, with `**` for folders of any depth, but not hidden ones.

    Each folder is entered once, though links lead back to it.
    """
    parts = pattern.split("/")
    if "**" not in parts:
        yield from glob.glob(pattern)  # noqa: PTH207  # Path.glob takes no absolute patterns
        return
    begin = parts.index("**")
    rest = "/".join(parts[begin + 1 :]) or "*"
    above = "/".join(parts[:begin]) or ("/" if pattern.startswith("/") else "")
    seen: set[str] = set()
    for base in sorted(glob.glob(above) if above else [""]):  # noqa: PTH207
        for folder in _folders(base, seen):
            yield from _matching(os.path.join(glob.escape(folder), rest))  # noqa: PTH118


def _folders(base: str, seen: set[str]) -> Iterator[str]:
    """A folder and those in it that are not hidden, each once."""
    waiting = deque([base])
    while waiting:
        folder = waiting.popleft()
        real = os.path.realpath(folder)
        if real in seen or not Path(folder).is_dir():
            continue
        seen.add(real)
        yield folder
        with os.scandir(folder or ".") as entries:
            inside = sorted(entry.name for entry in entries if entry.is_dir())
        _refuse_versions(folder, inside)
        names = (name for name in inside if not is_hidden(name))
        waiting.extend(os.path.join(folder, name) for name in names)  # noqa: PTH118


Entries = Callable[[str], list[tuple[str, bool]]]
"""Lists a folder: the path of each entry, and whether it is a folder."""


def _files_in(folder: str, entries: Entries) -> tuple[list[str], list[str]]:
    """The files of a folder, and of folders in it whose names are columns (`region=EMEA`); and the
    other folders in it.
    """
    files, others, waiting = list[str](), list[str](), [folder]
    while waiting:
        found = entries(waiting.pop())
        _refuse_versions(folder, [PurePosixPath(path).name for path, _ in found])
        for path, is_folder in found:
            name = PurePosixPath(path).name
            if is_folder and "=" in name:
                waiting.append(path)
            elif not is_hidden(name) or (not is_folder and is_hidden_table(name)):
                (others if is_folder else files).append(path)
    return files, others


_VERSIONED = {"_delta_log": "Delta Lake", ".hoodie": "Hudi"}


def _refuse_versions(folder: str, inside: Sequence[str]) -> None:
    """Raise `SourceError` for a folder of files that are versions of each other."""
    for name in set(inside) & _VERSIONED.keys():
        raise SourceError(
            f"{folder}: it is a table of {_VERSIONED[name]}, among whose files are older versions "
            "of its rows; write it out as Parquet or CSV first"
        )


def _of_a_folder(path: str, folder: str, setting: str) -> str:
    return f"{folder} (a folder; {setting}={path.rstrip('/')}/**/* reads what is in it)"


def _local_entries(folder: str) -> list[tuple[str, bool]]:
    paths = [path for path in Path(folder).iterdir() if path.is_dir() or _is_file(path)]
    return [(str(path), path.is_dir()) for path in paths]


def _is_file(path: Path) -> bool:
    """Whether `path` is a file, or a broken link, which must be reported and not passed over."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _local(path: Path) -> Place:
    def identity() -> object:
        status = path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns

    return Place(
        str(path), lambda: path.open("rb"), identity, lambda: path.stat().st_size, path=path
    )


def _find_cloud(url: str, scheme: str, setting: str) -> tuple[list[Place], list[str]]:
    try:
        import fsspec  # noqa: PLC0415  # optional: local files need none of it
    except ImportError:
        raise SourceError(
            f"{_without_secrets(url)}: reading {scheme}:// needs more packages; "
            "run pip install -r requirements-cloud.txt"
        ) from None
    try:
        web = scheme in ("http", "https")
        system, root = fsspec.core.url_to_fs(url, **(_web_options() if web else {}))
        found, folders = [root], list[str]()
        if not web and system.isdir(root):
            found, folders = _files_in(root, partial(_cloud_entries, system))
        elif "*" in root if web else glob.has_magic(root):
            # In a web address, ? begins the query, which may contain a signature.
            entries = system.glob(root, detail=True).items()
            found = [name for name, entry in entries if entry.get("type") != "directory"]
        places = [_cloud(system, scheme, file) for file in sorted(found, key=natural)]
        for place in places:
            place.identity()  # raises an error where it does not exist or may not be read
    except SourceError:
        raise
    except ImportError as error:
        raise SourceError(
            f"{_without_secrets(url)}: {error.name or 'a package'} is missing; "
            "run pip install -r requirements-cloud.txt"
        ) from None
    except Exception as error:  # noqa: BLE001  # each cloud's client has exceptions of its own
        raise SourceError(
            f"{_without_secrets(url)}: cannot be read ({type(error).__name__}); "
            f"check {setting} and the credentials in the environment"
        ) from None
    if not places:
        raise SourceError(f"{_without_secrets(url)}: no file is there; set {setting}")
    where = _without_secrets(url)
    return places, [_of_a_folder(where, f"{scheme}://{folder}", setting) for folder in folders]


def _cloud_entries(system: Any, folder: str) -> list[tuple[str, bool]]:
    entries = system.ls(folder, detail=True)
    return [(entry["name"], entry["type"] == "directory") for entry in entries]


def _web_options() -> dict[str, Any]:
    """Options for HTTP: one request per file, since not every server supports ranges."""
    import aiohttp  # noqa: PLC0415  # optional, as fsspec is

    patience = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
    return {"block_size": 0, "client_kwargs": {"timeout": patience}}


def _cloud(system: Any, scheme: str, file: str) -> Place:
    def identity() -> object:
        system.invalidate_cache()
        info = system.info(file)
        tags = ("ETag", "etag", "md5", "LastModified", "last_modified", "updated", "mtime")
        return info.get("size"), *(str(info.get(tag)) for tag in tags)

    def size() -> int:
        known = system.info(file).get("size")
        return _NEARLY_NOTHING + 1 if known is None else int(known)

    name = file if "://" in file else f"{scheme}://{file}"
    return Place(
        _without_secrets(name),
        lambda: cast("BinaryIO", with_os_errors(lambda: system.open(file, "rb"))),
        lambda: with_os_errors(identity),
        lambda: with_os_errors(size),
    )


def _without_secrets(url: str) -> str:
    """A URL without user, password and query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
