"""What makes two keys the same: one rule for the keys of dimensions, of sales, and of references.

The rule is part of the star: keys that are stored passed it. So whoever changes it raises
`KEY_RULES`, and the next run passes the stored keys through the new rule.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import composed, on_values

KEY_RULES = 2
"""The version of the rule. Version 1, of release 0.1.0, took off space only."""

_EDGES = (
    # Unicode's space.
    (0x09, 0x0D), (0x1C, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
    # Controls, but for NUL: rows are refused for it.
    (0x01, 0x08), (0x0E, 0x1B), (0x7F, 0x84), (0x86, 0x9F),
    # What Unicode calls default-ignorable: a font draws nothing for it.
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
    # The Braille pattern without dots is drawn as a blank.
    (0x2800, 0x2800),
)  # fmt: skip
EDGES = "".join(chr(code) for first, last in _EDGES for code in range(first, last + 1))
"""Space and unseen marks: at the beginning and at the end of a key they are no part of it.

It is a list of our own, since Python's own tables change with its version, and keys must not.
"""


def normal_keys(values: pa.Array) -> pa.Array:
    """Text as keys: without `EDGES`, NFC-normalised. Null stays null, encoded stays encoded.

    A key of nothing but space and unseen marks becomes blank (''). What stands between other
    characters stays.
    """

    def rule(texts: pa.Array) -> pa.Array:
        return composed(pc.utf8_trim(texts, characters=EDGES))

    return on_values(values, rule)
