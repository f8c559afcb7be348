"""Members are found by their keys, however many there are, and whatever hashes their keys have."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from common import key_hashes
from warehouse import keymap
from warehouse.keymap import KeyMap

MEMBERS = pa.table({"customer_id": ["", *(f"C{n}" for n in range(50))], "customer_key": range(51)})
ASKED = pa.array(["C7", "nobody", "", None, "C49", "C0", "C7"])


@pytest.mark.parametrize("ids", [ASKED, ASKED.dictionary_encode()], ids=["plain", "encoded"])
@pytest.mark.parametrize("hashes", ["their own", "one for all"])
def test_members_are_found_by_hashes_as_by_their_keys(
    ids: pa.Array, hashes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = KeyMap(MEMBERS).positions(ids).to_pylist()
    assert expected == [8, None, 0, None, 50, 1, 8]
    monkeypatch.setattr(keymap, "_FEW", 0)
    if hashes == "one for all":
        for module in (keymap, key_hashes):
            monkeypatch.setattr(module, "key_hashes", lambda keys: np.ones(len(keys), np.uint64))
    assert KeyMap(MEMBERS).positions(ids).to_pylist() == expected


def test_nobody_is_found_among_no_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keymap, "_FEW", -1)
    assert KeyMap(MEMBERS.slice(0, 0)).positions(ASKED).null_count == len(ASKED)
