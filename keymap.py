"""Business key to surrogate key, for one dimension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from arrays import whole


class KeyMap(Mapping[Any, int]):
    """A mapping that also looks up whole columns at once.

    `members` has the business key first, the surrogate key second, then attributes that facts
    compute with, such as a product's cost.
    """

    def __init__(self, members: pa.Table) -> None:
        self.members = members.combine_chunks()
        self._ids = whole(self.members[0])

    def positions(self, ids: pa.Array) -> pa.Array:
        """Where each of `ids` is among the members (int32); null where it is not."""
        if pa.types.is_dictionary(ids.type):
            found = pc.index_in(ids.dictionary, value_set=self._ids)
            return found.take(ids.indices)
        return pc.index_in(ids, value_set=self._ids)

    def column(self, index: int, positions: pa.Array) -> pa.DictionaryArray:
        """Column `index` of the members at `positions`, encoded: the members are its dictionary."""
        return pa.DictionaryArray.from_arrays(positions, whole(self.members[index]), safe=False)

    def __getitem__(self, key: Any) -> int:
        position = pc.index(self._ids, pa.scalar(key, self._ids.type)).as_py()
        if position < 0:
            raise KeyError(key)
        surrogate: int = self.members[1][position].as_py()
        return surrogate

    def __iter__(self) -> Iterator[Any]:
        return iter(self._ids.to_pylist())

    def __len__(self) -> int:
        return len(self._ids)
