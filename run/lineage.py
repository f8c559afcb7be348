"""Where each fact was read: the number of its file, and its line there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from common.arrays import whole
from common.results import PLACE, ROW_BITS
from common.star_model import FILE_NUMBER, LINE_NUMBER, MOST_FILES, MOST_LINES
from sources.source_files import RawBatch


def with_where(rows: pa.Table, batch: RawBatch) -> pa.Table:
    """Cleaned rows of a batch, which know their places in it, with `FILE_NUMBER` and `LINE_NUMBER`.

    A number that has no room in the star is empty; without a file its line says nothing.
    """
    count = len(rows)
    if not 0 < batch.file <= MOST_FILES:
        file, line = pa.nulls(count, pa.int16()), pa.nulls(count, pa.int32())
    else:
        zeros = pa.array(np.zeros(count, np.int8))
        file = pa.DictionaryArray.from_arrays(zeros, pa.array([batch.file], pa.int16()))
        lines = whole(batch.lines()).to_numpy()[rows[PLACE].to_numpy() & ROW_BITS]
        too_large = lines > MOST_LINES
        mask = too_large if too_large.any() else None
        line = pa.array(lines.astype(np.int32), mask=mask)
    return rows.append_column(FILE_NUMBER, file).append_column(LINE_NUMBER, line)
