"""Parquet files, whose columns have types."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from common.values import first_line
from errors import SourceError
from sources.arrow_batches import gathered, parse_arrow
from sources.batches import ReadOptions, column_names
from sources.pieces import LocalPiece, OpenSource, Piece


def open_parquet(label: str, file: Path, options: ReadOptions) -> OpenSource:
    """Open a Parquet file, to be read in batches whatever the size of its row groups.

    Raises `SourceError` when it is damaged; the pieces raise it as well.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415  # imports pandas, 0.5 s that CSV does not need

    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{label}: not a whole Parquet file ({first_line(error)})") from error
    columns = column_names(label, parquet.schema_arrow.names, options)

    binary = set[str]()

    def pieces() -> Iterator[Piece]:
        count = 0
        try:
            for batch in gathered(parquet.iter_batches(min(options.batch_rows, 8_192)), options):
                yield LocalPiece(partial(parse_arrow, batch, columns, count + 1, options, binary))
                count += len(batch)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"{label}, after record {count}: damaged ({first_line(error)})"
            ) from error
        if count != parquet.metadata.num_rows:
            raise SourceError(
                f"{label}: {count} records were read, the file says {parquet.metadata.num_rows}"
            )

    return OpenSource(label, "parquet", columns, pieces(), binary_keys=binary)
