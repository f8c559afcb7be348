"""The files that somebody names, and the path that means several of one kind."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from errors import SourceError
from sources.places import find_places
from sources.streams import Place

_SETTING = "the files"
_NO_TABLES = re.compile(
    r".*\.(md|pdf|html?|xml|log|rtf|docx?|png|jpe?g|gif|svg|md5|sha\d+|py|toml|env|yml|yaml|ini|"
    r"duckdb\.wal|lock|sh|sql|ipynb)|readme.*|licen[cs]e.*|\..*|~\$.*|_.*|thumbs\.db|desktop\.ini",
    re.IGNORECASE,
)


@dataclass
class Given:
    """A file that somebody named, or that is in a folder or archive which they named."""

    place: Place
    path: str
    """As a setting would name it alone."""
    folder: str
    name: str
    suffix: str


@dataclass
class Group:
    """Files of one kind, and the path that means exactly these."""

    path: str
    given: list[Given]
    unknown: list[str] = field(default_factory=list)


def gather(paths: Sequence[str], unused: dict[str, str]) -> list[Given]:
    """Every file that the paths name; what cannot be a table is put into `unused`."""
    found: dict[str, Given] = {}
    for path in paths:
        for name in _files_of(path):
            if name != path and _NO_TABLES.fullmatch(PurePath(name).name):
                unused[name] = "its name is none of a table"
                continue
            try:
                places = find_places(name, _SETTING)
            except SourceError as error:
                unused[name] = str(error)
                continue
            for place in places.places:
                given = _given(name, place)
                found.setdefault(given.path, given)
            for text in places.passed_over:
                unused[text.rpartition(" (")[0]] = "it is no table"
    return list(found.values())


def _files_of(path: str) -> list[str]:
    """The files of a folder and of the folders in it; any other path as it is."""
    place = Path(path)
    if "://" in path or not place.is_dir():
        return [path]
    inside = sorted(p for p in place.rglob("*") if p.is_file())
    return [
        str(p)
        for p in inside
        if not any(part.startswith(".") for part in p.relative_to(place).parts)
    ]


def _given(path: str, place: Place) -> Given:
    """One file, with its path as the settings name it."""
    own = f"{path}!{place.member}" if place.member and "!" not in path else path
    label = place.member or path
    pure = PurePath(label)
    suffixes = "".join(re.findall(r"\.[A-Za-z]\w{0,6}", pure.name)[-2:]).lower()
    folder = f"{path}!" if place.member else str(PurePath(path).parent)
    return Given(place, own, folder, pure.name, suffixes)


def skeleton(name: str) -> str:
    """A file's name with `#` in place of its digits, and of the names of months."""
    bare = re.sub(
        r"(?<![a-z])(jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-z]*(?![a-z])",
        "#",
        name.lower(),
    )
    return re.sub(r"#+", "#", re.sub(r"\d+", "#", bare))


def path_of(group: Sequence[Given], others: Iterable[Given]) -> tuple[str, str]:
    """The path that means all files of a group and no other; and what is not certain of it."""
    if len(group) == 1:
        return group[0].path, ""
    rest = [given.path for given in others if given not in group]
    own = [given.path for given in group]
    beside = _beside(group)
    for pattern in _patterns(group):
        if all(_matches(path, pattern) for path in own) and not any(
            _matches(path, pattern) for path in [*rest, *beside]
        ):
            return pattern, ""
    pattern = next(iter(_patterns(group)))
    strange = [path for path in [*rest, *beside] if _matches(path, pattern)]
    if not strange:
        return pattern, f"no path means {', '.join(own[:4])} together: put them into one folder"
    return pattern, (
        f"{pattern} means {', '.join(strange[:3])} as well, which is of another kind; "
        "put it into another folder"
    )


def _beside(group: Sequence[Given]) -> list[str]:
    """Files that nobody named, in the folders of a group."""
    if any("!" in given.path or "://" in given.path for given in group):
        return []
    own = {given.path for given in group}
    folders = {given.folder for given in group}
    return [
        str(path) if folder != "." else path.name
        for folder in folders
        for path in Path(folder).iterdir()
        if path.is_file() and str(path) not in own and not path.name.startswith((".", "~$", "_"))
    ]


def _patterns(group: Sequence[Given]) -> Iterable[str]:
    """Patterns that may mean a group, the narrowest first."""
    folders = sorted({given.folder for given in group})
    names = [given.name for given in group]
    prefix = common_start(names)
    suffix = common_start([name[::-1] for name in names])[::-1]
    suffix = suffix if len(suffix) > 2 else group[0].suffix
    prefix = begin = re.sub(r"\d+$", "", prefix)
    prefix = prefix if len(prefix) + len(suffix) <= min(map(len, names)) else ""
    if len(folders) == 1:
        folder = folders[0]
        lead = folder if folder.endswith("!") else "" if folder == "." else f"{folder}/"
        yield f"{lead}{prefix}*{suffix}"
        yield f"{lead}*{group[0].suffix}"
        yield f"{lead}{begin}*" if begin else f"{lead}*"
        yield folder.rstrip("!")
        return
    shared = _common_folder(folders)
    lead = f"{shared}/" if shared != "." else ""
    yield f"{lead}**/{prefix}*{suffix}"
    yield f"{lead}**/*{group[0].suffix}"


def common_start(names: Sequence[str]) -> str:
    """What all names begin with."""
    shortest, longest = min(names), max(names)
    count = 0
    while count < min(len(shortest), len(longest)) and shortest[count] == longest[count]:
        count += 1
    return shortest[:count]


def _common_folder(folders: Sequence[str]) -> str:
    parts = [PurePath(folder).parts for folder in folders]
    count = 0
    while all(len(p) > count for p in parts) and len({p[count] for p in parts}) == 1:
        count += 1
    return str(PurePath(*parts[0][:count]))


def _matches(path: str, pattern: str) -> bool:
    """Whether a pattern of ours means a path."""
    if "*" not in pattern:
        return path.startswith((f"{pattern}/", f"{pattern}!"))
    if "**/" in pattern:
        lead, _, name = pattern.partition("**/")
        return path.startswith(lead) and fnmatch.fnmatchcase(PurePath(path).name, name)
    folder, slash, name = pattern.rpartition("!" if "!" in pattern else "/")
    own = path.rpartition("!" if "!" in pattern else "/")
    return own[0] == folder and own[1] == slash and fnmatch.fnmatchcase(own[2], name)
