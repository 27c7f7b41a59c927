"""Documents in JSON lines: a string of each line's object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from analysis.records.json_text import parse_json
from search_space.errors import SpecError, shortened, value_kind
from trials.corpus.byte_stream import Watch, bounded_lines


def read_json_lines(path: Path, column: str, watch: Watch) -> Iterator[tuple[str, bytes | None]]:
    """The texts under a key as UTF-8 with their places, line by line, None where it is null. Empty lines are passed over.

    Raises SpecError where a line is no JSON object with that key.
    """
    for number, line in bounded_lines(path, watch):
        if line and not line.isspace():
            where = f"corpus file {path}, line {number}"
            yield where, _text(line, column, where)


def _text(line: bytes, column: str, where: str) -> bytes | None:
    value = _object(line, column, where)
    text = value.get(column)
    if text is None and column in value:
        return None
    if not isinstance(text, str):
        found = value_kind(text) if column in value else f"keys {shortened(', '.join(value)) or 'none'}"
        raise SpecError(f"{where} must have a string `{column}`, found {found}; put the document there, or name its key with corpus.column")
    try:
        return text.encode()
    except UnicodeEncodeError:  # JSON can spell half a surrogate pair, which no UTF-8 text has
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _object(line: bytes, column: str, where: str) -> dict[str, object]:
    written = line.strip()
    example = f'{{"{column}": ...}}'
    try:
        value = parse_json(written.decode(), has_nan=True)  # under other keys, where programs write them
    except UnicodeDecodeError as error:
        raise SpecError(f"{where} must be UTF-8, found byte 0x{error.object[error.start]:02x}; convert the file") from None
    except ValueError as error:
        if written.startswith(b"["):
            value = []  # the first line of an array that is written over several
        elif written == b"{":
            raise SpecError(
                f"{where} must be one JSON object, found one over several lines; write each on one line, as jq -c . does"
            ) from None
        else:
            said = re.sub(r"line 1, (column \d+): (.*)", r"\2 at \1", str(error))
            raise SpecError(f"{where} must be one JSON object, found {said[:1].lower() + said[1:]}; correct the line") from None
    if isinstance(value, list):
        raise SpecError(
            f"{where} must be a JSON object with `{column}`, found a list; write {example} on a line of its own for each document, as "
            "jq -c '.[]' makes them of an array"
        )
    if not isinstance(value, dict):
        raise SpecError(f"{where} must be a JSON object with `{column}`, found {value_kind(value)}; write {example}")
    return value
