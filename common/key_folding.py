"""Keys that are compared whatever the case of their letters, where KEY_CASE says so."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import composed, on_values, per_distinct


def folded_keys(values: pa.Array) -> pa.Array:
    """Keys as they are compared where the case of letters makes no difference: by Unicode's full
    case folding, so that `STRASSE` is `straße`. Null stays null.
    """

    def rule(texts: pa.Array) -> pa.Array:
        if pc.all(pc.string_is_ascii(texts)).as_py() is not False:
            return pc.ascii_lower(texts)
        return composed(per_distinct(texts, str.casefold))

    return on_values(values, rule)
