"""What the names of files tell: their order, what is no table, and which members are wanted."""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

_DIGITS = re.compile("([0-9]+)")
_TABLES = {
    ".csv", ".tsv", ".tab", ".psv", ".json", ".jsonl", ".ndjson", ".parquet",
    ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods",
}  # fmt: skip
_COMPRESSED = {".gz", ".zst", ".bz2", ".xz"}
_NO_TABLES = dict.fromkeys(
    (
        ".md", ".rst", ".pdf", ".html", ".htm", ".xml", ".xsd", ".log", ".rtf", ".doc", ".docx",
        ".ppt", ".pptx", ".eml", ".msg", ".url", ".lnk", ".png", ".jpg", ".jpeg", ".gif", ".svg",
        ".md5", ".sha1", ".sha256", ".sha512", ".sig", ".asc", ".sfv", ".crc", ".sql", ".py",
        ".sh", ".bat", ".ini", ".cfg", ".yml", ".yaml", ".toml", ".done", ".ok", ".ready", ".trg",
        ".fin", ".flag", ".lock", ".lck", ".err",
    ),
    "no table",
) | dict.fromkeys(
    (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp"), "a file not yet complete"
) | dict.fromkeys((".bak", ".old", ".orig"), "an older copy")  # fmt: skip
"""What is passed over beside tables, by suffix, and the reason that is told."""
_BESIDE = re.compile(r"~\$.*|_.*|.*\.crc|thumbs\.db|desktop\.ini", re.IGNORECASE)
"""Names of files that programs leave in a folder: Excel's locks, Spark's markers, Windows' own."""
_READMES = re.compile(r"(read[ _-]?me|licen[cs]es?|changelog|copying)([ _-]\w\w)?", re.IGNORECASE)
_PROSE = (".txt", "")
"""Suffixes of texts for people, and of tables."""
_TAR = r"tar(?:\.(?:gz|bz2|xz|zst))?|tgz|tbz2?|txz|tzst"
_MEMBERS = re.compile(rf"(.+\.(?:zip|{_TAR})(?:\?[^!]*)?)!(.+)", re.IGNORECASE)


def natural(name: str) -> tuple[object, ...]:
    """The key by which names of files are sorted: folder by folder, and numbers by their value, so
    that `part-2` is before `part-10`. Different names have different keys.
    """
    return (*(_by_value(part) for part in PurePosixPath(name).parts), (name,))


def _by_value(part: str) -> tuple[object, ...]:
    texts = _DIGITS.split(part)
    numbers = (digits.lstrip("0") for digits in texts[1::2])
    values: list[object] = [*texts]
    values[1::2] = [(len(digits), digits) for digits in numbers]
    return tuple(values)


def archive_and_members(path: str) -> tuple[str, str]:
    """The path of archives, and the pattern for their members after `!`; `*` without one."""
    named = _MEMBERS.fullmatch(path)
    return (named[1], named[2]) if named else (path, "*")


def is_archive(name: str) -> bool:
    """Whether a file is an archive by its suffix."""
    return bool(re.search(rf"\.(zip|7z|rar|{_TAR})$", name, re.IGNORECASE))


def is_tar(name: str) -> bool:
    """Whether a file is a tar archive by its suffix."""
    return bool(re.search(rf"\.({_TAR})$", name, re.IGNORECASE))


def is_wanted(member: str, pattern: str) -> bool:
    """Whether a pattern means a member of an archive: `*.csv` in whatever folder, `day/*.csv` in
    folders called `day`, `**` for any folders.
    """
    return member == pattern or _fits(member.split("/"), ["**", *pattern.split("/")])


def _fits(names: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_fits(names[begin:], patterns[1:]) for begin in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], patterns[0]) and _fits(names[1:], patterns[1:])


def is_table(name: str) -> bool:
    """Whether a file is a table by its suffix."""
    return suffix_of(name) in _TABLES


def may_be_prose(name: str) -> bool:
    """Whether a file may be a table, or a text for people."""
    return suffix_of(name) in _PROSE


def is_prose(head: bytes) -> bool:
    """Whether the first bytes of a file are a text for people: its first line has no delimiter, or
    only commas with a space behind, and it is neither JSON nor binary.
    """
    text = head.replace(b"\0", b"") if head.startswith(_UTF_16) else head
    text = text.removeprefix(BOM_UTF8).lstrip()
    if b"\0" in text or text.startswith((b"{", b"[", b"PAR1", b"PK")):
        return False
    first = text.splitlines()[0] if text else b""
    return not re.search(rb"[;|\t]|,(?! )", first.rstrip(b",; "))


_UTF_16 = (BOM_UTF16_LE, BOM_UTF16_BE)


def reason_to_pass_over(name: str) -> str:
    """Why a file is none of the data, by its name; '' where it may be."""
    last = PurePosixPath(name).name
    if _BESIDE.fullmatch(last):
        return "no table"
    if last.endswith("~"):
        return "an older copy"
    if not is_table(name) and _READMES.fullmatch(last.partition(".")[0]):
        return "no table"
    return _NO_TABLES.get(PurePosixPath(last.lower()).suffix) or _NO_TABLES.get(suffix_of(name), "")


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or of macOS."""
    return (name.startswith(".") and name not in (".", "..")) or name == "__MACOSX"


def is_hidden_table(path: str) -> bool:
    """Whether a hidden file may hold data, so that a note is due: nothing that macOS makes."""
    *folders, name = path.split("/")
    return is_table(name) and not name.startswith("._") and "__MACOSX" not in folders


def suffix_of(name: str) -> str:
    """The suffix of a file's name, without that of a compression."""
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix
