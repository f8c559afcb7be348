"""The files in an archive: each member of a zip or tar archive is a file of a source."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from common.spool import disk_errors_named
from errors import SourceError
from sources.file_names import (
    is_archive,
    is_hidden,
    is_hidden_table,
    is_table,
    is_tar,
    is_wanted,
    natural,
)
from sources.streams import Place, copied, open_content, with_os_errors

_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")  # the second: an archive without files
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_BLOCK = 512
"""Bytes of a tar archive's blocks."""


def members(place: Place, pattern: str, folder: Path | None) -> tuple[list[Place], list[str]]:
    """The place itself, or the files in it that `pattern` means if it is an archive; and what was
    passed over in it. A compressed tar archive is unpacked into `folder` first.

    What is wrong with it is reported when it is opened, as for any other file.
    """
    try:
        with place.open_raw() as raw:
            head = with_os_errors(lambda: raw.read(_BLOCK))
        if head[:4] in _ZIP_MARKS:
            return _zip_members(place, pattern)
        if _is_tar(place, head) or (head.startswith(_COMPRESSED) and not is_table(place.name)):
            with open_content(place) as content:
                is_one = _is_tar(place, content.head)
                if is_one:
                    is_there = place.file is not None and not content.compressed
                    file = place.open_raw() if is_there else _copied(content.stream, folder)
            if is_one:
                return _tar_members(place, file, pattern)
    except OSError:
        return [place], []
    except SourceError as error:
        return [_refusing(place, str(error))], []
    if pattern != "*":
        return [_faulty(place, f"it is no zip or tar archive, so nothing in it is {pattern}")], []
    return [place], []


def _is_tar(place: Place, head: bytes) -> bool:
    """Whether a file that begins so is a tar archive; old ones are told by their names alone."""
    return head[257:262] == b"ustar" or (bool(head) and is_tar(place.name))


def _zip_members(place: Place, pattern: str) -> tuple[list[Place], list[str]]:
    try:
        place = place if place.path is not None else _downloaded(place)
        archive = zipfile.ZipFile(place.open_raw())
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError):  # as the damage happens to look
        return [_faulty(place, "it is a damaged zip archive; fetch it again")], []
    if _is_workbook(archive, names):
        return [place], []
    problem = _document(set(names))
    if problem:
        return [_faulty(place, problem)], []

    def member(name: str) -> Place:
        size = partial(_size_in, archive, name)
        return replace(place, member=name, archive=archive, size=size)

    return _wanted(place, names, pattern, member)


def _wanted(
    place: Place, names: Iterable[str], pattern: str, member: Callable[[str], Place]
) -> tuple[list[Place], list[str]]:
    """The members of an archive that a pattern means, in natural order; and hidden tables."""
    kept, hidden = list[str](), list[str]()
    for name in dict.fromkeys(names):
        is_one = any(map(is_hidden, name.split("/")))
        (hidden if is_one else kept).append(name)
    wanted = sorted((name for name in kept if is_wanted(name, pattern)), key=natural)
    if not kept:
        return [_faulty(place, "the archive holds no files")], []
    if not wanted:
        has = ", ".join(kept[:20])
        return [_faulty(place, f"no file in it matches {pattern}; it has {has}")], []
    told = [f"{place.name}!{n} (hidden)" for n in hidden if is_hidden_table(n)]
    return [_member(member(name)) for name in wanted], told if pattern == "*" else []


def _member(place: Place) -> Place:
    """A member, which is refused when it is opened if it is an archive itself."""
    if is_archive(place.member or ""):
        problem = f"{place.label}: an archive inside another one; unpack one of them"
        return replace(_refusing(place, problem), archive=None)
    return place


def _size_in(archive: zipfile.ZipFile, name: str) -> int:
    return archive.getinfo(name).file_size


_SPREADSHEET = b"application/vnd.oasis.opendocument.spreadsheet"


def _is_workbook(archive: zipfile.ZipFile, names: Sequence[str]) -> bool:
    """Whether an archive is a workbook: an .xlsx, an .xlsb, or an .ods."""
    if "xl/workbook.xml" in names or "xl/workbook.bin" in names:
        return True
    is_open_document = "mimetype" in names and "content.xml" in names
    return is_open_document and archive.read("mimetype")[:99].startswith(_SPREADSHEET)


def _document(names: set[str]) -> str:
    """What kind of document an archive with these names is, and what to do; '' if it is none."""
    if "[Content_Types].xml" in names:
        return "it is an office document of another kind; save it as .xlsx"
    if "mimetype" in names:
        return "it is an OpenDocument file, and no table (.ods)"
    if any(name.endswith(".iwa") for name in names):
        return "it is a document of Apple's Numbers; export it as .xlsx"
    return ""


# --- tar ------------------------------------------------------------------------------------


def _tar_members(place: Place, file: BinaryIO, pattern: str) -> tuple[list[Place], list[str]]:
    """The regular files of a tar archive, whose bytes `file` has. Links in it, and the folders that
    its names have, are not followed: members are read where they are.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            entries, end = archive.getmembers(), archive.offset
    except (tarfile.TarError, ValueError, OverflowError, EOFError):
        return [_faulty(place, _DAMAGED_TAR)], []
    if problem := _after_the_last(file, end):
        return [_faulty(place, problem)], []
    files = {entry.name.removeprefix("./"): entry for entry in entries if entry.isreg()}
    links = [f"{place.name}!{e.name} (a link)" for e in entries if e.issym() or e.islnk()]

    def member(name: str) -> Place:
        entry = files[name]
        found = replace(place, member=name, size=lambda: entry.size)
        if entry.issparse():
            return _refusing(found, f"{found.label}: it is a sparse file; unpack the archive")
        return replace(found, open_raw=lambda: _slice(file, entry.offset_data, entry.size))

    found, hidden = _wanted(place, files, pattern, member)
    return found, [*hidden, *links]


_DAMAGED_TAR = "it is a damaged or cut off tar archive; fetch it again"


def _after_the_last(file: BinaryIO, end: int) -> str:
    """What is wrong with the bytes behind the last member of a tar archive: they are zeros."""
    block = os.pread(file.fileno(), _BLOCK, end)
    if len(block) < _BLOCK or block.strip(b"\0"):
        return _DAMAGED_TAR  # a header that cannot be read, or none
    while rest := os.pread(file.fileno(), 1 << 20, end):
        if rest.strip(b"\0"):
            return "it is several tar archives, one after the other; unpack it (tar -xif)"
        end += len(rest)
    return ""


class _Slice(io.RawIOBase):
    """Some bytes of a file, which several such readers read at once."""

    def __init__(self, file: BinaryIO, begin: int, size: int) -> None:
        self._file, self._next, self._end = file, begin, begin + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self._end - self._next)
        data = os.pread(self._file.fileno(), count, self._next)
        if count and not data:
            raise EOFError("it ends before this member does")
        buffer[: len(data)] = data
        self._next += len(data)
        return len(data)


def _slice(file: BinaryIO, begin: int, size: int) -> BinaryIO:
    return cast("BinaryIO", _Slice(file, begin, size))


def _copied(stream: BinaryIO, folder: Path | None) -> BinaryIO:
    """The rest of a stream as a file without a name, of which nothing is left when nobody reads it
    any more.
    """
    with disk_errors_named(folder) if folder else nullcontext():
        copy = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # as long as somebody reads it
    while part := stream.read(1 << 20):
        with disk_errors_named(folder) if folder else nullcontext():
            copy.write(part)
    copy.seek(0)
    return cast("BinaryIO", copy)


def _faulty(place: Place, problem: str) -> Place:
    """A place that raises its problem as `SourceError` when it is opened."""
    return _refusing(place, f"{place.name}: {problem}")


def _refusing(place: Place, message: str) -> Place:
    def refuse() -> BinaryIO:
        raise SourceError(message)

    return replace(place, open_raw=refuse)


def _downloaded(place: Place) -> Place:
    """The place with its bytes in a temporary file, which exists as long as the place does."""
    with place.open_raw() as raw:
        copy = with_os_errors(lambda: copied(raw))
    return replace(place, open_raw=lambda: Path(copy.name).open("rb"))
