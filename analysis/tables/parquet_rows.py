"""Rows of a Parquet file as cells of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from search_space.errors import SpecError, refused

ROWS_OF_A_BATCH = 256


def parquet_rows(path: Path, as_cell: Callable[[object], str | None]) -> Iterator[tuple[int, list[str | None]]]:
    """The names of the columns, then each row with its number from 1; raises SpecError where the file is no whole Parquet file."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            yield 0, list(file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(ROWS_OF_A_BATCH):
                columns = [[as_cell(value) for value in column.to_pylist()] for column in batch.columns]
                for row in zip(*columns, strict=True):
                    number += 1
                    yield number, list(row)
    except pyarrow.ArrowException as error:
        said = str(error).splitlines()[0].partition(". ")[0].rstrip(".")
        raise SpecError(f"{path} must be a whole Parquet file, found: {said}; write it again") from None
    except OSError as error:  # pyarrow has its own, for what is cut short
        raise refused(error, path, "be a whole Parquet file", "write it again") from None
