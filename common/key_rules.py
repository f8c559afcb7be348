"""The one rule by which keys are compared: of dimensions, of sales, and of references to them.

The stored keys of a star have passed this rule. Whoever changes it increases `KEY_RULES`; the next
run then passes the stored keys through the new rule.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import composed, on_values

KEY_RULES = 2
"""The version of the rule. Version 1, of release 0.1.0, removed white space only."""

_EDGES = (
    # Unicode's white space.
    (0x09, 0x0D), (0x1C, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
    # Controls, without NUL: a row with one is rejected.
    (0x01, 0x08), (0x0E, 0x1B), (0x7F, 0x84), (0x86, 0x9F),
    # Unicode's default-ignorable code points: fonts draw nothing for them.
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
    # The Braille pattern without dots looks like a blank.
    (0x2800, 0x2800),
)  # fmt: skip
EDGES = "".join(chr(code) for first, last in _EDGES for code in range(first, last + 1))
"""Space and invisible characters, which are removed from both ends of a key.

The list is written out because Python's Unicode tables change between versions; keys must not.
"""


def normal_keys(values: pa.Array) -> pa.Array:
    """Text as keys: without `EDGES` at both ends, and in NFC. Null stays null; a dictionary-encoded
    column stays encoded.

    A key of nothing but `EDGES` becomes blank (''). Those inside a key stay.
    """

    def rule(texts: pa.Array) -> pa.Array:
        return composed(pc.utf8_trim(texts, characters=EDGES))

    return on_values(values, rule)
