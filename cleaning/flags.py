"""Yes and no as people and programs write them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_YES = pa.array(["true", "t", "yes", "y", "1", "1.0", "x"])
_NO = pa.array(["false", "f", "no", "n", "0", "0.0"])
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+.*)?$"


def flags(texts: pa.Array) -> pa.Array:
    """Text to booleans, without regard to case; null where it is neither yes nor no.

    A date is a yes: columns such as `deleted_at` hold the moment of what they flag.
    """
    lower = pc.utf8_lower(texts)
    is_moment = pc.and_(
        pc.match_substring_regex(lower, _MOMENT),
        pc.invert(pc.starts_with(lower, "0000")),  # how MySQL writes that there is none
    )
    is_yes = pc.or_(pc.is_in(lower, _YES), pc.fill_null(is_moment, False))
    is_known = pc.or_(is_yes, pc.is_in(lower, _NO))
    return pc.if_else(is_known, is_yes, pa.scalar(None, pa.bool_()))
