"""By what a file is known again: SHA-256, of large files as a tree, so that workers share the work.

A file of up to 64 MiB has its plain SHA-256, as `sha256sum` prints it. Of a larger one each 64 MiB
are hashed by themselves, and the SHA-256 of these hashes is its fingerprint; it begins with the
scheme's name, so that the two are never taken for each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

LEAF_BYTES = 64 << 20
_SCHEME = "sha256-tree-64MiB:"
_CHUNK = 1 << 20


class TreeHash:
    """The fingerprint of bytes that come one after the other."""

    def __init__(self) -> None:
        self._leaves: list[bytes] = []
        self._leaf = hashlib.sha256()
        self._room = LEAF_BYTES

    def update(self, data: memoryview | bytes) -> None:
        """Take the next bytes."""
        rest = memoryview(data)
        while len(rest) > self._room:
            self._leaf.update(rest[: self._room])
            rest = rest[self._room :]
            self._leaves.append(self._leaf.digest())
            self._leaf, self._room = hashlib.sha256(), LEAF_BYTES
        self._leaf.update(rest)
        self._room -= len(rest)

    def fingerprint(self) -> str:
        """The fingerprint of all bytes so far."""
        return joined([*self._leaves, self._leaf.digest()])


def leaves(size: int) -> list[tuple[int, int]]:
    """Where the parts of a file of `size` bytes begin and end that are hashed by themselves."""
    begins = range(0, max(size, 1), LEAF_BYTES)
    return [(begin, min(begin + LEAF_BYTES, size)) for begin in begins]


def leaf(path: Path, begin: int, end: int) -> bytes:
    """The SHA-256 of a part of a file. Raises `OSError` when it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end and (chunk := file.read(min(_CHUNK, end - begin))):
            digest.update(chunk)
            begin += len(chunk)
    return digest.digest()


def joined(digests: Sequence[bytes]) -> str:
    """The fingerprint of a file by the hashes of its leaves, in their order."""
    if len(digests) == 1:
        return digests[0].hex()
    return _SCHEME + hashlib.sha256(b"".join(digests)).hexdigest()
