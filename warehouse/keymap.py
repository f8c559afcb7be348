"""Business key to surrogate key, for one dimension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import whole
from common.key_folding import folded_keys
from common.key_hashes import Hashes, key_hashes, positions_by_hash
from common.star_model import UNKNOWN_KEY

DESCRIBED, INFERRED, UNKNOWN = range(3)
"""Kinds of members: described by a record of its source, only named by sales, the Unknown one."""
_FEW = 250_000
"""Up to so many members a table of them is made anew for each batch in less time than it takes to
hash the batch's ids.
"""
IS_INFERRED = "_inferred"
"""Column of `KeyMap.members`: 1 for inferred members, 0 for others."""


@dataclass(frozen=True)
class Named:
    """How many sales were counted, and how many of them have an inferred or the Unknown member."""

    sales: int = 0
    inferred: int = 0
    unknown: int = 0

    def __add__(self, other: Named) -> Named:
        return Named(
            self.sales + other.sales,
            self.inferred + other.inferred,
            self.unknown + other.unknown,
        )


class KeyMap(Mapping[Any, int]):
    """A mapping that also looks up whole columns at once.

    `members` has the business key first, the surrogate key second, then attributes that facts
    compute with, such as a product's cost.
    """

    def __init__(self, members: pa.Table, *, is_folded: bool = False) -> None:
        """`is_folded`: the case of letters makes no difference to the ids that are looked up."""
        self.members = members.combine_chunks()
        self._ids = whole(self.members[0])
        self._is_folded = is_folded
        self._forms = folded_keys(self._ids) if is_folded else self._ids

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} by {self.members.column_names[0]}>"

    @cached_property
    def kinds(self) -> npt.NDArray[np.int8]:
        """The kind of each member."""
        kinds = np.zeros(len(self._ids), np.int8)
        if IS_INFERRED in self.members.column_names:
            kinds[self.members[IS_INFERRED].to_numpy() == 1] = INFERRED
        kinds[self.members[1].to_numpy() == UNKNOWN_KEY] = UNKNOWN
        return kinds

    def described(self) -> pa.Array:
        """The business keys of the members that have a record."""
        return self._ids.filter(pa.array(self.kinds == DESCRIBED))

    def named(self, positions: pa.Array) -> Named:
        """How many of `positions` are members of each kind; nulls are not counted."""
        kinds = self.kinds[positions.drop_null().to_numpy()]
        count = np.bincount(kinds, minlength=3)
        return Named(len(kinds), int(count[INFERRED]), int(count[UNKNOWN]))

    def positions(self, ids: pa.Array) -> pa.Array:
        """Where each of `ids` is among the members (int32); null where it is not."""
        if pa.types.is_dictionary(ids.type):
            return self._look_up(ids.dictionary).take(ids.indices)
        return self._look_up(ids)

    def _look_up(self, ids: pa.Array) -> pa.Array:
        ids = folded_keys(ids) if self._is_folded else ids
        is_text = pa.types.is_string(ids.type) and pa.types.is_string(self._ids.type)
        if not is_text or len(self._ids) <= _FEW:
            return pc.index_in(ids, value_set=self._forms)
        places, hashes = self._by_hash
        return positions_by_hash(ids, self._forms, hashes, places).cast(pa.int32())

    @cached_property
    def _by_hash(self) -> tuple[npt.NDArray[np.int64], Hashes]:
        """The positions of the members in the order of their hashes, and these."""
        hashes = key_hashes(self._forms)
        places = np.argsort(hashes)
        return places, hashes[places]

    def column(self, index: int, positions: pa.Array) -> pa.DictionaryArray:
        """Column `index` of the members at `positions`, as a dictionary array whose dictionary has
        all members.
        """
        return pa.DictionaryArray.from_arrays(positions, whole(self.members[index]), safe=False)

    def __getitem__(self, key: Any) -> int:
        key = key.casefold() if self._is_folded else key
        position = pc.index(self._forms, pa.scalar(key, self._ids.type)).as_py()
        if position < 0:
            raise KeyError(key)
        surrogate: int = self.members[1][position].as_py()
        return surrogate

    def __iter__(self) -> Iterator[Any]:
        return iter(self._ids.to_pylist())

    def __len__(self) -> int:
        return len(self._ids)
