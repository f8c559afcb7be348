"""Where source files are, and how their bytes are had: local or cloud, plain or compressed."""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

import pyarrow as pa

from errors import SourceError

MAX_EXPANSION = 300
"""A compressed file may grow by this factor; real sales data grows by 5 to 50."""
_FREE_EXPANSION = 256 << 20  # bytes that may come out of any compressed file
_DAMAGED = (EOFError, zlib.error, zipfile.BadZipFile, pa.ArrowException)
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")  # the second: an archive without files


@dataclass(frozen=True)
class Place:
    """One source file. `name` is for people and holds no credentials."""

    name: str
    open_raw: Callable[[], BinaryIO]
    identity: Callable[[], object]
    """What changes when somebody writes to the file: inode, size, time; or a cloud's tag."""
    is_local: bool = True
    member: str | None = None
    archive: zipfile.ZipFile | None = None
    """That the member is of: one for all of them, or thousands would read its directory each."""

    @property
    def shown(self) -> str:
        """The name for messages and reject files."""
        return f"{self.name}!{self.member}" if self.member else self.name


def find_places(path: str, setting: str) -> list[Place]:
    """The files behind a path, directory, glob or cloud URL, in name order.

    Every member of a zip archive is a file of its own. Raises `SourceError` when there is none.
    """
    scheme = urlsplit(path).scheme.lower()
    if scheme == "file":
        path = urlsplit(path).path
    is_url = "://" in path
    places = _find_cloud(path, scheme, setting) if is_url else _find_local(path, setting)
    return [member for place in places for member in _members(place)]


def _find_local(path: str, setting: str) -> list[Place]:
    place = Path(path)
    if place.is_dir():
        files = [p for p in place.iterdir() if _is_file(p) and not p.name.startswith(".")]
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


def _is_file(path: Path) -> bool:
    """Whether it is to be read: also a link to nothing, so that it is told and not passed over."""
    return path.is_file() or (path.is_symlink() and not path.exists())


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
        web = scheme in ("http", "https")
        system, root = fsspec.core.url_to_fs(url, **(_web_options() if web else {}))
        if not web and system.isdir(root):
            found = [f for f in system.ls(root, detail=False) if system.isfile(f)]
        else:
            # The ? of a web address begins its query, which may sign the request.
            wild = "*" in root if web else glob.has_magic(root)
            found = system.glob(root) if wild else [root]
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


def _web_options() -> dict[str, Any]:
    """One request per file, read from start to end: not every server knows ranges."""
    import aiohttp

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
        _shown(name),
        lambda: cast("BinaryIO", _with_os_errors(lambda: system.open(file, "rb"))),
        lambda: _with_os_errors(identity),
        is_local=False,
    )


Result = TypeVar("Result")


def _with_os_errors(call: Callable[[], Result]) -> Result:
    """The result of `call`, whose every failure is an `OSError`, as a local file's would be."""
    try:
        return call()
    except (OSError, *_DAMAGED):
        raise
    except Exception as error:  # each cloud's client has exceptions of its own
        raise OSError(type(error).__name__) from error


def _shown(url: str) -> str:
    """A URL without user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _members(place: Place) -> list[Place]:
    """The place itself, or the files in it when it is a zip archive.

    What is wrong with it comes to light when it is opened, as with any other file.
    """
    try:
        with place.open_raw() as raw:
            if _with_os_errors(lambda: raw.read(4)) not in _ZIP_MARKS:
                return [place]
        place = place if place.is_local else _downloaded(place)
        archive = zipfile.ZipFile(place.open_raw())
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except OSError:
        return [place]
    except zipfile.BadZipFile:
        return [_faulty(place, "it is a damaged zip archive; fetch it again")]
    if "xl/workbook.xml" in names:
        return [place]
    kept = sorted(n for n in names if not Path(n).name.startswith(".") and "__MACOSX" not in n)
    if not kept or {"[Content_Types].xml", "mimetype"} & set(kept):
        office = "it is an office document of another kind; save it as .xlsx"
        return [_faulty(place, office if kept else "the zip archive holds no files")]
    return [replace(place, member=name, archive=archive) for name in kept]


def _faulty(place: Place, problem: str) -> Place:
    """A place that tells its problem when it is opened."""

    def refuse() -> BinaryIO:
        raise SourceError(f"{place.name}: {problem}")

    return replace(place, open_raw=refuse)


def _downloaded(place: Place) -> Place:
    """The place with its bytes on this machine, for as long as somebody holds it."""
    with place.open_raw() as raw:
        copy = _with_os_errors(lambda: _copy(raw))
    return replace(place, open_raw=lambda: Path(copy.name).open("rb"), is_local=True)


def _copy(stream: BinaryIO) -> BinaryIO:
    copy = tempfile.NamedTemporaryFile()  # noqa: SIM115  # goes when nobody holds it any more
    shutil.copyfileobj(stream, copy, 1 << 20)
    copy.seek(0)
    return cast("BinaryIO", copy)


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
        inner: Any = self._inner
        count: int = _with_os_errors(lambda: inner.readinto(buffer))
        self._digest.update(buffer[:count])
        self.passed += count
        return count

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
    with ExitStack() as stack:
        source = _open_member(place, place.archive) if place.archive else place.open_raw()
        raw = stack.enter_context(closing(_Hashed(source, digest)))
        buffered: Any = io.BufferedReader(raw, 1 << 20)
        name, compressed = place.member or place.name, bool(place.member)
        try:
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
        except _DAMAGED as error:
            raise SourceError(
                f"{place.shown}: damaged or cut off ({error}); fetch it again"
            ) from error


def _open_member(place: Place, archive: zipfile.ZipFile) -> BinaryIO:
    """One file of a zip archive; `zipfile` never gives more than the size it declares."""
    member = archive.getinfo(place.member or "")
    refuse_expansion(place.shown, member.compress_size, member.file_size)
    try:
        return cast("BinaryIO", archive.open(member))
    except RuntimeError as error:  # encrypted, or compressed in a way that Python does not know
        raise SourceError(f"{place.shown}: {error}; unpack the archive yourself") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{place.shown}: damaged or cut off ({error}); fetch it again") from error


def refuse_expansion(shown: str, compressed: int, size: int) -> None:
    """Raise `SourceError` when `size` bytes came out of too few."""
    if size > max(_FREE_EXPANSION, MAX_EXPANSION * compressed):
        raise SourceError(
            f"{shown}: grows beyond {MAX_EXPANSION} times its size when decompressed, "
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
        except (OSError, zlib.error, pa.ArrowException) as error:
            raise EOFError(str(error)) from error
        self._given += len(data)
        refuse_expansion(self._place.shown, self._raw.passed, self._given)
        buffer[: len(data)] = data
        return len(data)


def seekable(content: Content, place: Place) -> BinaryIO:
    """A file that can be read at any point, as Parquet and Excel need; a copy where there is none.

    Either way all of its bytes are read, for the fingerprint.
    """
    if content.compressed or not place.is_local:
        return _copy(content.stream)
    while content.stream.read(1 << 20):
        pass
    return place.open_raw()
