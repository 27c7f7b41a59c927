"""Documents in Parquet and Arrow files: a column of text, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search_space.errors import SpecError, said_by, shortened
from trials.corpus.byte_stream import FREE_BYTES, LONGEST_ROW_BYTES, MOST_EXPANSION, Watch, too_long

ROWS_AT_ONCE = 16
"""TextRows that are held together; more are no faster."""

TextRows = Iterator[tuple[str, bytes | None]]


def read_parquet(path: Path, column: str, watch: Watch) -> TextRows:
    """The column's texts as UTF-8 with their places, row by row, None for a row without one.

    Raises SpecError where the file is damaged, or has no such column of text.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _require_text(path, column, file.schema_arrow)
            _require_no_bomb(path, column, file.metadata)
            batches = file.iter_batches(ROWS_AT_ONCE, columns=[column])
            yield from _rows(path, (batch.column(0) for batch in batches), file.metadata.num_rows, watch)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, "Parquet", error) from None


def read_arrow(path: Path, column: str, watch: Watch) -> TextRows:
    """Texts of an Arrow file, of either form (file, or stream), with their places; batches are mapped, and held whole where compressed."""
    import pyarrow

    try:
        with pyarrow.memory_map(str(path)) as file:
            reader = _batches(file)
            _require_text(path, column, reader.schema)
            yield from _rows(
                path, (batch.column(batch.schema.names.index(column)) for batch in _each(reader)), _row_count(reader, path), watch
            )
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, "Arrow", error) from None


def _batches(file: Any) -> Any:
    from pyarrow import ipc

    is_stream = file.read(6) != b"ARROW1"
    file.seek(0)
    return ipc.open_stream(file) if is_stream else ipc.open_file(file)


def _each(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        yield from reader


def _row_count(reader: Any, path: Path) -> int:
    """TextRows of a file, whose batches are mapped and not read for it; of a stream, a row to a kilobyte, for want of a count."""
    if hasattr(reader, "num_record_batches"):
        return sum(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))
    return path.stat().st_size >> 10


def _rows(path: Path, arrays: Iterator[Any], count: int, watch: Watch) -> TextRows:
    number = 0
    watch(lambda: min(1.0, number / max(count, 1)))
    for array in arrays:
        for start in range(0, len(array), ROWS_AT_ONCE):
            for text in _texts(array.slice(start, ROWS_AT_ONCE)):
                number += 1
                where = f"corpus file {path}, row {number}"
                if text is not None and len(text) > LONGEST_ROW_BYTES:
                    raise too_long(where)
                yield where, text


def _texts(part: Any) -> Iterator[bytes | None]:
    """The texts of some rows; of a dictionary each is looked up by itself, since one long text may be that of every row."""
    import pyarrow

    if not pyarrow.types.is_dictionary(part.type):
        yield from (text.as_py() for text in part.cast(pyarrow.large_binary()))
        return
    for place in part.indices:
        text = part.dictionary[place.as_py()] if place.is_valid else None
        yield None if text is None or not text.is_valid else text.cast(pyarrow.large_binary()).as_py()


def _require_text(path: Path, column: str, schema: Any) -> None:
    from pyarrow import types

    names = schema.names
    if names.count(column) != 1:
        found = "it several times" if column in names else shortened(", ".join(names)) or "none"
        raise SpecError(f"corpus file {path} must have a column `{column}`, found {found}; name one of them with corpus.column")
    kind = schema.field(column).type
    inner = kind.value_type if types.is_dictionary(kind) else kind
    tests = (
        types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary, types.is_binary_view,
        types.is_null,
    )  # fmt: skip
    if not any(test(inner) for test in tests):
        raise SpecError(f"corpus file {path} must have text in its column `{column}`, found {kind}; name another with corpus.column")


def _require_no_bomb(path: Path, column: str, metadata: Any) -> None:
    """Raise SpecError where a column would take far more memory than the file has bytes."""
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for place in range(row_group.num_columns):
            chunk = row_group.column(place)
            whole = chunk.total_uncompressed_size
            if chunk.path_in_schema == column and whole > max(FREE_BYTES, MOST_EXPANSION * chunk.total_compressed_size):
                raise SpecError(
                    f"corpus file {path} must have at most {MOST_EXPANSION} times its compressed size, as any text has, found more in row "
                    f"group {group + 1}; it is hardly anything but repetitions, so leave it out"
                )


def _damaged(path: Path, kind: str, error: Exception) -> Exception:
    """The refusal of a file that its library cannot read; what the system refuses is left as it is."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return SpecError(f"corpus file {path} must be a whole {kind} file, found: {said_by(error).partition('. ')[0]}; write it again")
