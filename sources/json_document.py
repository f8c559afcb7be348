"""JSON documents: objects that are no records themselves, but have a list of them somewhere inside.

A document is walked through key by key, so that it may be larger than memory. What stands before
and after the list is passed over, and must be valid JSON up to the end of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from errors import SourceError
from sources.batches import MAX_RECORD_BYTES, ReadOptions
from sources.json_cursor import Cursor
from sources.json_decoder import DEEPEST, Decoder, Item

_LOOKED_AT = 10
"""So many elements of a list are asked for their keys."""
_MOST_NAMES = 20

Path = tuple[str, ...]


@dataclass(frozen=True)
class ListInside:
    """A list inside a document: its keys from the outermost on, and those of its first objects."""

    path: Path
    keys: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its path as RECORDS has it."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Beginning:
    """What the beginning of a JSON text shows: the keys of its first object, and the lists in it.

    `is_valid`: whether it is valid JSON as far as it was looked at, or up to the object's end.
    """

    keys: list[str]
    lists: list[ListInside]
    is_valid: bool


def look(cursor: Cursor) -> Beginning:
    """Look at the first object, up to the limit of one record; the cursor stays where it is."""
    while not cursor.ended and len(cursor.buffer) - cursor.at < MAX_RECORD_BYTES:
        cursor.more()
    text = cursor.buffer[cursor.at :]
    walker = Cursor("", text, _nothing_more(), 1, lambda: SourceError(""), 1, cursor.ended)
    keys: list[str] = []
    lists: list[ListInside] = []
    is_valid = True
    try:
        for key in walker.each_key():
            keys.append(key)
            _walk(walker, (key,), lists.append)
    except _BeyondError:
        pass
    except SourceError:
        is_valid = False
    return Beginning(keys, lists, is_valid)


class _BeyondError(Exception):
    """What is to be looked at ends here."""


def _nothing_more() -> Iterator[str]:
    raise _BeyondError
    yield ""


def _walk(cursor: Cursor, path: Path, found: Callable[[ListInside], None]) -> None:
    """Go behind the value here, and tell of each list that is reached through objects alone."""
    begin = cursor.peek()
    if begin == "{" and len(path) < DEEPEST:
        cursor.at += 1
        for key in cursor.each_key():
            _walk(cursor, (*path, key), found)
    elif begin == "[":
        cursor.at += 1
        _walk_list(cursor, path, found)
    else:
        cursor.pass_over()


def _walk_list(cursor: Cursor, path: Path, found: Callable[[ListInside], None]) -> None:
    keys: dict[str, None] = {}
    number, told = 0, False
    try:
        for number in cursor.members("]"):
            if number <= _LOOKED_AT and cursor.peek() == "{":
                cursor.at += 1
                for key in cursor.each_key():
                    keys[key] = None
                    cursor.pass_over()
                continue
            if not told:
                found(ListInside(path, tuple(keys)))
                told = True
            cursor.pass_over()
    finally:
        if not told:
            found(ListInside(path, tuple(keys)))


def path_to_records(label: str, beginning: Beginning, options: ReadOptions) -> Path | None:
    """Where in the documents the records are; None where the documents are the records.

    Raises `SourceError` where this cannot be told.
    """
    layout = options.layout
    if layout.bears(beginning.keys):
        return None
    fitting = [inside for inside in beginning.lists if layout.bears(inside.keys)]
    if len(fitting) > 1:
        raise _two_lists(label, fitting[0].path, fitting[1].path, options)
    return fitting[0].path if fitting else None


def beside(beginning: Beginning, path: Path, options: ReadOptions) -> list[str]:
    """A warning of what stands beside the list of records, and is called like what is read."""
    inside = next(inside for inside in beginning.lists if inside.path == path)
    own = {key.casefold() for key in inside.keys}
    names = [
        key for key in beginning.keys if key.casefold() in options.used - own and key != path[0]
    ]
    if not names:
        return []
    return [
        f"its records are the list {inside.name!r}; {', '.join(names)}, beside that list, is not "
        "read"
    ]


def has_lists_of_objects(beginning: Beginning) -> bool:
    """Whether any of the lists could be that of the records."""
    return any(inside.keys for inside in beginning.lists)


def no_records(label: str, beginning: Beginning, options: ReadOptions) -> SourceError:
    """The error for a document in which no list has the required columns."""
    lists = [inside for inside in beginning.lists if inside.keys]
    told = "; ".join(
        f"{inside.name!r} has {', '.join(inside.keys[:_MOST_NAMES])}" for inside in lists[:5]
    )
    return SourceError(
        f"{label}: it is a JSON object, and neither it nor a list in it has the required columns "
        f"(it has {', '.join(beginning.keys[:_MOST_NAMES])}; the list {told}); if these are the "
        f"records, set {_setting(options)}={lists[0].name}, and map their columns in "
        f"{options.source.upper()}__COLUMNS"
    )


def _two_lists(label: str, one: Path, other: Path, options: ReadOptions) -> SourceError:
    names = [".".join(path) for path in (one, other)]
    return SourceError(
        f"{label}: two of its lists have the required columns, {names[0]!r} and {names[1]!r}; "
        f"set {_setting(options)}={names[0]}, or the other one"
    )


def _setting(options: ReadOptions) -> str:
    return f"{options.source.upper()}__RECORDS"


@dataclass
class Documents:
    """The records in JSON documents that follow each other, or are the elements of a list."""

    cursor: Cursor
    path: Path
    options: ReadOptions
    decoder: Decoder
    is_found: bool = False
    """Whether the path was not set, but found: no other list may have the required columns."""
    _count: int = 0
    _documents: int = 0

    def items(self) -> Iterator[Item]:
        """The records, numbered from 1. Raises `SourceError` where a document is no valid JSON, or
        has no list at the path.
        """
        cursor = self.cursor
        if cursor.peek() == "[":
            cursor.at += 1
            for _ in cursor.members("]"):
                yield from self._document()
            expect_nothing_after(cursor)
            return
        while cursor.peek():
            yield from self._document()
            if cursor.peek() == ",":
                cursor.at += 1

    def _document(self) -> Iterator[Item]:
        self._documents += 1
        yield from self._object(0)

    def _object(self, depth: int) -> Iterator[Item]:
        """The records inside the object here, which is at the first `depth` keys of the path."""
        cursor, step = self.cursor, self.path[depth]
        self._expect("{", "object", self.path[:depth])
        cursor.at += 1
        keys: list[str] = []
        for key in cursor.each_key():
            if key != step:
                keys += [key] if len(keys) < _MOST_NAMES else []
                self._pass_over((*self.path[:depth], key))
                continue
            if step in keys:
                name = ".".join(self.path[: depth + 1])
                raise SourceError(f"{cursor.place()}: there is a second {name!r}; which one is it?")
            keys.insert(0, step)
            if depth + 1 < len(self.path):
                yield from self._object(depth + 1)
            elif cursor.peek() == "n":
                cursor.pass_over()  # null: there are none
            else:
                yield from self._list()
        if step not in keys:
            name, outer = ".".join(self.path[: depth + 1]), ".".join(self.path[:depth])
            where = f"its {outer!r}" if outer else "it"
            raise SourceError(
                f"{cursor.place()}: document {self._documents} has no {name!r}, where "
                f"{_setting(self.options)} is {'.'.join(self.path)}; {where} has "
                + (", ".join(keys) or "nothing")
            )

    def _list(self) -> Iterator[Item]:
        self._expect("[", "list", self.path)
        self.cursor.at += 1
        for number, record in self.cursor.elements(self.decoder.decode, self._count):
            self._count = number
            yield number, record

    def _expect(self, begin: str, what: str, path: Sequence[str]) -> None:
        found = self.cursor.peek()
        if found == begin:
            return
        if not found:
            raise self.cursor.expected(f"an {what}")
        kind = {"[": "a list", "{": "an object", '"': "text"}.get(found, "another value")
        name = ".".join(path)
        raise SourceError(
            f"{self.cursor.place()}: {repr(name) if name else f'document {self._documents}'} is "
            f"{kind}, not {'an' if what == 'object' else 'a'} {what}; see {_setting(self.options)}"
        )

    def _pass_over(self, path: Path) -> None:
        if not self.is_found:
            self.cursor.pass_over()
            return

        def refuse_second(inside: ListInside) -> None:
            if self.options.layout.bears(inside.keys):
                raise _two_lists(self.cursor.label, self.path, inside.path, self.options)

        _walk(self.cursor, path, refuse_second)


def objects(cursor: Cursor, decoder: Decoder) -> Iterator[Item]:
    """Objects that follow each other, however they are spread over lines, numbered from 1."""
    number = 0
    while cursor.peek():
        number += 1
        yield number, cursor.value(decoder.decode, number)
        if cursor.peek() == ",":
            cursor.at += 1


def array(cursor: Cursor, decoder: Decoder) -> Iterator[Item]:
    """The elements of the list here, numbered from 1; nothing may stand after it."""
    cursor.at += 1
    yield from cursor.elements(decoder.decode, 0)
    expect_nothing_after(cursor)


def expect_nothing_after(cursor: Cursor) -> None:
    """Raise `SourceError` where text follows the list that a file is."""
    if cursor.peek():
        raise SourceError(f"{cursor.label}: there is text after the JSON array's end; remove it")
