"""Finding the files of a source: local or in a cloud, single, in folders or in archives."""

from __future__ import annotations

import glob
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from errors import SourceError
from sources.streams import Place, copied, open_content, with_os_errors

_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")  # the second: an archive without files


_TABLES = {
    ".csv",
    ".tsv",
    ".tab",
    ".psv",
    ".json",
    ".jsonl",
    ".ndjson",
    ".parquet",
    ".xlsx",
    ".xlsm",
}
_COMPRESSED = {".gz", ".zst", ".bz2", ".xz"}
_NO_TABLES = {
    ".txt",
    ".md",
    ".pdf",
    ".html",
    ".htm",
    ".xml",
    ".log",
    ".rtf",
    ".doc",
    ".docx",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".svg",
    ".md5",
    ".sha1",
    ".sha256",
}
_BESIDE = re.compile(r"~\$.*|_.*|.*\.crc|thumbs\.db|desktop\.ini", re.IGNORECASE)
"""Names of files that programs leave in a folder: Excel's locks, Spark's markers, Windows' own."""
_READMES = re.compile("readme|licen[cs]e|changelog", re.IGNORECASE)
_NEARLY_NOTHING = 200  # bytes; an empty file has fewer when it is compressed


@dataclass(frozen=True)
class Found:
    """The files of a source, and the names of files that were passed over, each with the reason."""

    places: list[Place]
    passed_over: list[str]
    empty: list[str] = field(default_factory=list)
    """Those among them that have no byte: something may be missing."""


def find_places(path: str, setting: str) -> Found:
    """The files of a path, folder, glob or cloud URL, in the order of their names.

    Each member of a zip archive is a file of its own; `export.zip!*.csv` selects some of them.
    Files that are no tables are passed over if there are others. Raises `SourceError`, which names
    `setting`, when there is no file.
    """
    path, pattern = _archive_and_members(path)
    scheme = urlsplit(path).scheme.lower()
    if scheme == "file":
        path = urlsplit(path).path
    is_url = "://" in path
    found = _find_cloud(path, scheme, setting) if is_url else _find_local(path, setting)
    places, passed_over = _kept(found, lambda place: _is_beside(place, path), "no table")
    members: list[Place] = []
    for place in places:
        kept, readmes = _members(place, pattern)
        members += kept
        passed_over += readmes
    filled, empty = _kept(members, _is_empty, "zero bytes")
    return Found(filled, passed_over + empty, empty)


def _archive_and_members(path: str) -> tuple[str, str]:
    """The path of an archive, and the pattern for its members after `!`; `*` without one."""
    named = re.fullmatch(r"(.+\.zip)!(.+)", path, re.IGNORECASE)
    return (named[1], named[2]) if named and not Path(path).exists() else (path, "*")


def _kept(
    places: list[Place], is_none: Callable[[Place], bool], why: str
) -> tuple[list[Place], list[str]]:
    """The places without those that are `is_none`, and the names of these with the reason `why`.

    All are kept if none would remain: opening them then says what is wrong.
    """
    if len(places) == 1:
        return places, []
    kept = [place for place in places if not is_none(place)]
    if not kept:
        return places, []
    lost = set(map(id, places)) - set(map(id, kept))
    return kept, [f"{place.label} ({why})" for place in places if id(place) in lost]


def _is_beside(place: Place, path: str) -> bool:
    """Whether a file's name is one that programs give to files without data, unless `path` itself
    names such a file.
    """
    is_asked_for = PurePosixPath(path).name.startswith("_")
    return not is_asked_for and bool(_BESIDE.fullmatch(PurePosixPath(place.name).name))


def _is_empty(place: Place) -> bool:
    """Whether a file is empty, after decompression."""
    try:
        if place.size() > _NEARLY_NOTHING:
            return False
        with open_content(place) as content:
            return not content.head
    except (OSError, SourceError):
        return False  # opening it says what is wrong


def _find_local(path: str, setting: str) -> list[Place]:
    place = Path(path)
    if place.is_dir():
        files = [Path(name) for name in _files_in(str(place), _local_entries)]
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
        # Path.glob takes no absolute patterns.
        files = [Path(m) for m in glob.glob(path, recursive=True) if _is_file(Path(m))]  # noqa: PTH207
    if not files:
        wild = glob.has_magic(path)
        kind = "no file matches this pattern" if wild else "there is no such file"
        raise SourceError(f"{path}: {kind}; set {setting} to where the source is")
    return [_local(file) for file in sorted(files)]


Entries = Callable[[str], list[tuple[str, bool]]]
"""Lists a folder: the path of each entry, and whether it is a folder."""


def _files_in(folder: str, entries: Entries) -> Iterator[str]:
    """The files of a folder, and of folders in it whose names are columns (`region=EMEA`)."""
    for path, is_folder in entries(folder):
        name = PurePosixPath(path).name
        if is_folder and "=" in name:
            yield from _files_in(path, entries)
        elif not is_folder and not name.startswith("."):
            yield path


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


def _find_cloud(url: str, scheme: str, setting: str) -> list[Place]:
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
        if not web and system.isdir(root):
            found = list(_files_in(root, partial(_cloud_entries, system)))
        else:
            # In a web address, ? begins the query, which may contain a signature.
            wild = "*" in root if web else glob.has_magic(root)
            found = system.glob(root) if wild else [root]
        places = [_cloud(system, scheme, file) for file in sorted(found)]
        for place in places:
            place.identity()  # raises an error where it does not exist or may not be read
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
    return places


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

    name = file if "://" in file else f"{scheme}://{file}"
    return Place(
        _without_secrets(name),
        lambda: cast("BinaryIO", with_os_errors(lambda: system.open(file, "rb"))),
        lambda: with_os_errors(identity),
        lambda: with_os_errors(lambda: system.info(file).get("size") or _NEARLY_NOTHING + 1),
    )


def _without_secrets(url: str) -> str:
    """A URL without user, password and query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _members(place: Place, pattern: str) -> tuple[list[Place], list[str]]:
    """The place itself, or the files in it if it is a zip archive; and those passed over.

    What is wrong with it is reported when it is opened, as for any other file.
    """
    try:
        with place.open_raw() as raw:
            if with_os_errors(lambda: raw.read(4)) not in _ZIP_MARKS:
                return [place], []
        place = place if place.path is not None else _downloaded(place)
        archive = zipfile.ZipFile(place.open_raw())
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except OSError:
        return [place], []
    except (zipfile.BadZipFile, NotImplementedError, ValueError):  # as the damage happens to look
        return [_faulty(place, "it is a damaged zip archive; fetch it again")], []
    if "xl/workbook.xml" in names:
        return [place], []
    kept = sorted(n for n in names if not Path(n).name.startswith(".") and "__MACOSX" not in n)
    problem = _document(set(kept)) if kept else "the zip archive holds no files"
    wanted = [name for name in kept if PurePosixPath(name).match(pattern)]
    if kept and not problem and not wanted:
        problem = f"no file in it matches {pattern}; it has {', '.join(kept[:20])}"
    if problem:
        return [_faulty(place, problem)], []
    members = [
        replace(place, member=name, archive=archive, size=partial(_size_in, archive, name))
        for name in wanted
    ]
    return _without_readmes(members) if pattern == "*" else (members, [])


def _without_readmes(members: list[Place]) -> tuple[list[Place], list[str]]:
    has_tables = any(_suffix(member.label) in _TABLES for member in members)

    def is_readme(member: Place) -> bool:
        named_so = _READMES.match(PurePosixPath(member.label.rpartition("!")[2]).name)
        suffix = _suffix(member.label)
        return suffix not in _TABLES and bool(named_so or (has_tables and suffix in _NO_TABLES))

    return _kept(members, is_readme, "no table")


def _size_in(archive: zipfile.ZipFile, name: str) -> int:
    return archive.getinfo(name).file_size


def _document(names: set[str]) -> str:
    """What kind of document an archive with these names is, and what to do; '' if it is none."""
    if "xl/workbook.bin" in names:
        return "it is a binary Excel workbook (.xlsb); save it as .xlsx"
    if "[Content_Types].xml" in names:
        return "it is an office document of another kind; save it as .xlsx"
    if "mimetype" in names:
        return "it is an OpenDocument file, such as .ods; save it as .xlsx"
    if any(name.endswith(".iwa") for name in names):
        return "it is a document of Apple's Numbers; export it as .xlsx"
    return ""


def _suffix(name: str) -> str:
    """The suffix of a file's name, without that of a compression."""
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix


def _faulty(place: Place, problem: str) -> Place:
    """A place that raises its problem as `SourceError` when it is opened."""

    def refuse() -> BinaryIO:
        raise SourceError(f"{place.name}: {problem}")

    return replace(place, open_raw=refuse)


def _downloaded(place: Place) -> Place:
    """The place with its bytes in a temporary file, which exists as long as the place does."""
    with place.open_raw() as raw:
        copy = with_os_errors(lambda: copied(raw))
    return replace(place, open_raw=lambda: Path(copy.name).open("rb"))
