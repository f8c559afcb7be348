"""Yes and no as people and programs write them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.dates import dates
from common.date_formats import ISO_8601

_YES = pa.array(["true", "t", "yes", "y", "1", "1.0", "x"])
_NO = pa.array(["false", "f", "no", "n", "0", "0.0"])
_UTC = ZoneInfo("UTC")


def flags(texts: pa.Array) -> pa.Array:
    """Text to booleans, without regard to case; null where it is neither yes nor no.

    A date is a yes: columns such as `deleted_at` hold the moment of what they flag. What looks like
    a date and is none, such as MySQL's 0000-00-00, is neither.
    """
    lower = pc.utf8_lower(texts)
    is_moment = pc.is_valid(dates(texts, [ISO_8601], _UTC))
    is_yes = pc.or_(pc.is_in(lower, _YES), is_moment)
    is_known = pc.or_(is_yes, pc.is_in(lower, _NO))
    return pc.if_else(is_known, is_yes, pa.scalar(None, pa.bool_()))
