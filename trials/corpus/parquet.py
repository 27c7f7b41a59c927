"""Documents in Parquet files: a column of text, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search_space.errors import SpecError, refused

ROWS_AT_ONCE = 256


def read_column(path: Path, column: str) -> Iterator[bytes]:
    """The column's texts as UTF-8, row by row, those without one left out; raises SpecError where there is no such column of text."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _require_text(path, column, file.schema_arrow)
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=[column]):
                for value in batch.column(0).cast(pyarrow.large_binary()):
                    if value.is_valid:
                        yield value.as_py()
    except pyarrow.ArrowException as error:
        said = str(error).splitlines()[0].rstrip(".")
        raise SpecError(f"corpus file {path} must be a whole Parquet file, found: {said}; write it again") from None
    except OSError as error:  # pyarrow has its own, for what is cut short
        raise refused(error, f"corpus file {path}", "be a whole Parquet file", "write it again") from None


def _require_text(path: Path, column: str, schema: Any) -> None:
    from pyarrow import types

    if column not in schema.names:
        found = ", ".join(schema.names) or "none"
        raise SpecError(f"corpus file {path} must have a column `{column}`, found {found}; name one of them with corpus.column")
    kind = schema.field(column).type
    if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        raise SpecError(f"corpus file {path} must have text in its column `{column}`, found {kind}; name another with corpus.column")
