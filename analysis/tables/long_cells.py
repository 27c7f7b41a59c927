"""Python's csv with long cells: its limit of 131,072 characters is one for the whole process, and several files may be read at once."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_usual_limit, _lock = csv.field_size_limit(), Lock()
_wanted: list[int] = []


@contextmanager
def long_cells(most: int) -> Iterator[None]:
    """Cells may have so many characters while inside; the rows, and what bounds them, are the caller's."""
    with _lock:
        _wanted.append(most)
        csv.field_size_limit(max(_wanted))
    try:
        yield
    finally:
        with _lock:
            _wanted.remove(most)
            csv.field_size_limit(max(_wanted, default=_usual_limit))
