"""Where source files are, and how their bytes are had: local or cloud, plain or compressed."""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import pyarrow as pa

from errors import SourceError

CLOUD = ("s3", "gs", "gcs", "az", "abfs", "abfss", "http", "https")
MAX_EXPANSION = 300
"""A compressed file may grow by this factor; real sales data grows by 5 to 50."""
_FREE_EXPANSION = 256 << 20  # bytes that may come out of any compressed file


@dataclass(frozen=True)
class Place:
    """One source file. `name` is for people and holds no credentials."""

    name: str
    open_raw: Callable[[], BinaryIO]
    identity: Callable[[], object]
    """What changes when somebody writes to the file: inode, size, time; or a cloud's tag."""
    member: str | None = None  # of a zip archive

    @property
    def shown(self) -> str:
        """The name for messages and reject files."""
        return f"{self.name}!{self.member}" if self.member else self.name


def find_places(path: str, setting: str) -> list[Place]:
    """The files behind a path, directory, glob or cloud URL, in name order.

    Every member of a zip archive is a file of its own. Raises `SourceError` when there is none,
    or when one cannot be opened.
    """
    scheme = urlsplit(path).scheme.lower()
    if scheme == "file":
        path = urlsplit(path).path
    places = _find_cloud(path, scheme, setting) if scheme in CLOUD else _find_local(path, setting)
    return [member for place in places for member in _members(place, setting)]


def _find_local(path: str, setting: str) -> list[Place]:
    place = Path(path)
    if place.is_dir():
        files = [p for p in place.iterdir() if p.is_file() and not p.name.startswith(".")]
        if not files:
            raise SourceError(f"{place}: the directory holds no files; see {setting}")
    elif place.exists():
        files = [place]
    else:
        # Path.glob takes no absolute patterns.
        files = [Path(m) for m in glob.glob(path, recursive=True) if Path(m).is_file()]  # noqa: PTH207
    if not files:
        wild = glob.has_magic(path)
        kind = "no file matches this pattern" if wild else "there is no such file"
        raise SourceError(f"{path}: {kind}; set {setting} to where the source is")
    return [_local(file) for file in sorted(files)]


def _local(path: Path) -> Place:
    def identity() -> object:
        status = path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns

    return Place(str(path), lambda: path.open("rb"), identity)


def _find_cloud(url: str, scheme: str, setting: str) -> list[Place]:
    try:
        import fsspec  # optional: local files need none of it
    except ImportError:
        raise SourceError(
            f"{_shown(url)}: reading {scheme}:// needs more packages; "
            "run pip install -r requirements-cloud.txt"
        ) from None
    try:
        system, root = fsspec.core.url_to_fs(url)
        if system.isdir(root) and scheme not in ("http", "https"):
            found = [f for f in system.ls(root, detail=False) if system.isfile(f)]
        else:
            found = system.glob(root) if glob.has_magic(root) else [root]
        places = [_cloud(system, scheme, file) for file in sorted(found)]
        for place in places:
            place.identity()  # it exists, and may be read
    except ImportError as error:
        raise SourceError(
            f"{_shown(url)}: {error.name or 'a package'} is missing; "
            "run pip install -r requirements-cloud.txt"
        ) from None
    except Exception as error:  # noqa: BLE001  # each cloud's client has exceptions of its own
        raise SourceError(
            f"{_shown(url)}: cannot be read ({type(error).__name__}); "
            f"check {setting} and the credentials in the environment"
        ) from None
    if not places:
        raise SourceError(f"{_shown(url)}: no file is there; set {setting}")
    return places


def _cloud(system: Any, scheme: str, file: str) -> Place:
    def identity() -> object:
        system.invalidate_cache()
        info = system.info(file)
        tags = ("ETag", "etag", "md5", "LastModified", "last_modified", "updated", "mtime")
        return info.get("size"), *(str(info.get(tag)) for tag in tags)

    name = file if "://" in file else f"{scheme}://{file}"
    return Place(_shown(name), lambda: cast("BinaryIO", system.open(file, "rb")), identity)


def _shown(url: str) -> str:
    """A URL without user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _members(place: Place, setting: str) -> list[Place]:
    """The place itself, or the files in it when it is a zip archive."""
    try:
        with place.open_raw() as raw:
            if raw.read(4) != b"PK\x03\x04":
                return [place]
            raw.seek(0)
            with zipfile.ZipFile(raw) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "it is a damaged zip archive"
        raise SourceError(f"{place.name}: cannot be opened ({reason}); see {setting}") from error
    if "xl/workbook.xml" in names:
        return [place]
    kept = sorted(n for n in names if not Path(n).name.startswith(".") and "__MACOSX" not in n)
    if not kept:
        raise SourceError(f"{place.name}: the zip archive holds no files; see {setting}")
    return [Place(place.name, place.open_raw, place.identity, name) for name in kept]


# --- bytes ---------------------------------------------------------------------------------


class _Hashed(io.RawIOBase):
    """A stream whose bytes are hashed while they pass."""

    def __init__(self, inner: BinaryIO, digest: hashlib._Hash) -> None:
        self._inner = inner
        self._digest = digest
        self.passed = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        self._digest.update(data)
        self.passed += len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


@dataclass
class Content:
    """A file's bytes, decompressed, and the name that tells their format."""

    stream: BinaryIO
    name: str
    head: bytes  # the first bytes, for a look at what it is
    compressed: bool


@contextmanager
def open_content(place: Place, digest: hashlib._Hash) -> Iterator[Content]:
    """Open a file and undo its compression, told by its first bytes. `digest` hears the bytes.

    Raises `SourceError` when it is damaged.
    """
    raw = _Hashed(place.open_raw(), digest)
    archive = None
    try:
        buffered: Any = io.BufferedReader(raw, 1 << 20)
        name, compressed = place.name, False
        if place.member:
            archive = zipfile.ZipFile(place.open_raw())
            buffered = _open_member(archive, place, digest)
            name, compressed = place.member, True
        head = buffered.peek(8)[:8]
        while head[:2] == b"\x1f\x8b" or head[:4] == b"\x28\xb5\x2f\xfd":
            if head[:2] == b"\x1f\x8b":
                inner: Any = gzip.GzipFile(fileobj=buffered)
            else:
                inner = pa.CompressedInputStream(pa.PythonFile(buffered, "r"), "zstd")
            guarded = _Guarded(inner, raw, place)
            buffered = io.BufferedReader(cast("Any", guarded), 1 << 20)
            compressed = True
            name = name.removesuffix(".gz").removesuffix(".zst")
            head = buffered.peek(8)[:8]
        yield Content(buffered, name, head, compressed)
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, pa.ArrowException) as error:
        raise SourceError(f"{place.shown}: damaged or cut off ({error}); fetch it again") from error
    finally:
        raw.close()
        if archive is not None:
            archive.close()


def _open_member(
    archive: zipfile.ZipFile, place: Place, digest: hashlib._Hash
) -> io.BufferedReader:
    """One file of a zip archive; `zipfile` never gives more than the size it declares."""
    member = archive.getinfo(place.member or "")
    digest.update(f"{member.CRC} {member.file_size}".encode())
    if member.file_size > max(_FREE_EXPANSION, MAX_EXPANSION * member.compress_size):
        raise _too_large(place)
    return io.BufferedReader(cast("Any", archive.open(member)), 1 << 20)


def _too_large(place: Place) -> SourceError:
    return SourceError(
        f"{place.shown}: grows beyond {MAX_EXPANSION} times its size when decompressed, "
        "the limit for a compressed source; decompress it yourself"
    )


class _Guarded(io.RawIOBase):
    """Decompressed bytes, refused when they are out of all proportion to the file."""

    def __init__(self, inner: Any, raw: _Hashed, place: Place) -> None:
        self._inner = inner
        self._raw = raw
        self._place = place
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except (OSError, pa.ArrowException) as error:
            raise EOFError(str(error)) from error
        self._given += len(data)
        if self._given > _FREE_EXPANSION and self._given > MAX_EXPANSION * self._raw.passed:
            raise _too_large(self._place)
        buffer[: len(data)] = data
        return len(data)


def seekable(content: Content, place: Place) -> BinaryIO:
    """A file that can be read at any point, as Parquet and Excel need; copied when compressed."""
    if not content.compressed:
        while content.stream.read(1 << 20):
            pass  # for the fingerprint
        return place.open_raw()
    copy = tempfile.TemporaryFile()  # noqa: SIM115  # the caller keeps it open while it reads
    while chunk := content.stream.read(1 << 20):
        copy.write(chunk)
    copy.seek(0)
    return cast("BinaryIO", copy)
