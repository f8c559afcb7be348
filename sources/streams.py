"""The bytes of a source file: read once, hashed on the way, and decompressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import pyarrow as pa

from common.fingerprints import TreeHash
from common.spool import disk_errors_named, new_path
from errors import SourceError

MAX_EXPANSION = 300
"""The largest factor by which a compressed file may grow; real sales data grows by 5 to 50."""
_FREE_EXPANSION = 256 << 20  # bytes to which any compressed file may grow
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException)
_HEAD, _CHUNK = 512, 1 << 20


@dataclass(frozen=True)
class _Compression:
    """One kind of compression: how its files begin, their suffix, and the decompressor."""

    begins: re.Pattern[bytes]
    suffix: str
    open: Callable[[Any], Any]


_COMPRESSIONS = (
    _Compression(re.compile(rb"\x1f\x8b"), ".gz", lambda file: gzip.GzipFile(fileobj=file)),
    _Compression(
        re.compile(rb"\x28\xb5\x2f\xfd"),
        ".zst",
        lambda file: pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"),
    ),
    _Compression(re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), ".bz2", bz2.BZ2File),
    _Compression(re.compile(rb"\xfd7zXZ\0"), ".xz", lzma.LZMAFile),
)


@dataclass(frozen=True)
class Place:
    """Where one source file is, and how to open it. `name` contains no credentials."""

    name: str
    open_raw: Callable[[], BinaryIO]
    identity: Callable[[], object]
    """What changes when somebody writes to the file: inode, size, time; or a cloud's tag."""
    size: Callable[[], int]
    path: Path | None = None
    """Where it is on a disk; None of files in a cloud."""
    member: str | None = None
    archive: zipfile.ZipFile | None = None
    """The archive of `member`; all members share it, so that its directory is read once."""
    sheet: str = ""
    """The sheet of a workbook, where each sheet is a file of its own."""

    @property
    def file(self) -> Path | None:
        """Where the bytes of this file are, as they are stored, on a disk; None of a member of an
        archive, of what is in a cloud, and of a device, or another file that tells no size.
        """
        if self.path is None or self.member is not None or not self.path.is_file():
            return None
        return self.path.absolute() if self.path.stat().st_size else None

    @property
    def label(self) -> str:
        """The name for messages and reject files."""
        return "!".join(filter(None, [self.name, self.member, self.sheet]))


Result = TypeVar("Result")


def with_os_errors(call: Callable[[], Result]) -> Result:
    """The result of `call`; any exception of a cloud's client is raised as `OSError`."""
    try:
        return call()
    except (OSError, *_DAMAGED):
        raise
    except Exception as error:  # each cloud's client has exceptions of its own
        raise OSError(type(error).__name__) from error


def copied(stream: BinaryIO) -> BinaryIO:
    """The rest of a stream as a temporary file, which is deleted when it is no longer in use."""
    copy = tempfile.NamedTemporaryFile()  # noqa: SIM115  # deleted when it is garbage-collected
    shutil.copyfileobj(stream, copy, 1 << 20)
    copy.seek(0)
    return cast("BinaryIO", copy)


class _Hashed(io.RawIOBase):
    """A stream that passes its bytes to `digest`, and counts them."""

    def __init__(self, inner: BinaryIO, digest: TreeHash | None) -> None:
        self._inner = inner
        self._digest = digest
        self.passed = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        inner: Any = self._inner
        count: int = with_os_errors(lambda: inner.readinto(buffer))
        if self._digest is not None:
            self._digest.update(buffer[:count])
        self.passed += count
        return count

    def close(self) -> None:
        self._inner.close()
        super().close()


@dataclass
class Content:
    """A file's decompressed bytes, and its name without the suffix of the compression."""

    stream: BinaryIO
    name: str
    head: bytes  # the first bytes, which show the format
    compressed: bool


@contextmanager
def open_content(place: Place, digest: TreeHash | None = None) -> Iterator[Content]:
    """Open a file and decompress it, if its first bytes say that it is compressed.

    `digest` is updated with the bytes as they are stored. Raises `SourceError` when they are
    damaged.
    """
    with ExitStack() as stack:
        source = _open_member(place, place.archive) if place.archive else place.open_raw()
        raw = stack.enter_context(closing(_Hashed(source, digest)))
        buffered: Any = io.BufferedReader(raw, 1 << 20)
        name, compressed = place.member or place.name, bool(place.member)
        try:
            head = buffered.peek(_HEAD)[:_HEAD]
            while compression := next((c for c in _COMPRESSIONS if c.begins.match(head)), None):
                guarded = _Guarded(compression.open(buffered), raw, place)
                buffered = io.BufferedReader(cast("Any", guarded), 1 << 20)
                compressed = True
                name = name.removesuffix(compression.suffix)
                head = buffered.peek(_HEAD)[:_HEAD]
            yield Content(buffered, name, head, compressed)
        except _DAMAGED as error:
            raise SourceError(
                f"{place.label}: damaged or cut off ({error}); fetch it again"
            ) from error


def _open_member(place: Place, archive: zipfile.ZipFile) -> BinaryIO:
    """Open a file of a zip archive. `zipfile` never returns more than the declared size."""
    member = archive.getinfo(place.member or "")
    if member.flag_bits & 1:
        raise SourceError(f"{place.label}: it is encrypted; unpack the archive yourself")
    refuse_expansion(place.label, member.compress_size, member.file_size)
    try:
        return cast("BinaryIO", archive.open(member))
    except RuntimeError as error:  # encrypted, or compressed in a way that Python does not know
        raise SourceError(f"{place.label}: {error}; unpack the archive yourself") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{place.label}: damaged or cut off ({error}); fetch it again") from error


def refuse_expansion(label: str, compressed: int, size: int) -> None:
    """Raise `SourceError` when `compressed` bytes have grown to `size`, which is too much."""
    if size > max(_FREE_EXPANSION, MAX_EXPANSION * compressed):
        raise SourceError(
            f"{label}: grows beyond {MAX_EXPANSION} times its size when decompressed, "
            "the limit for a compressed source; decompress it yourself"
        )


class _Guarded(io.RawIOBase):
    """Decompressed bytes; raises `SourceError` when there are too many for the file's size."""

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
        except (OSError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise EOFError(str(error)) from error
        self._given += len(data)
        refuse_expansion(self._place.label, self._raw.passed, self._given)
        buffer[: len(data)] = data
        return len(data)


_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def is_workbook(head: bytes) -> bool:
    """Whether a file that begins so may be a workbook."""
    return head.startswith(_WORKBOOKS)


def on_disk(content: Content, place: Place, folder: Path) -> tuple[Path, Path | None]:
    """The path of a file with random access, as Parquet and Excel need, and that of the copy that
    was made in `folder` where there was none.
    """
    if place.file is not None and not content.compressed:
        return place.file, None
    path = new_path(folder, "content-copy.bin")
    with disk_errors_named(folder), path.open("xb") as copy:
        while part := content.stream.read(_CHUNK):
            copy.write(part)
    return path, path
