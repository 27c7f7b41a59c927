"""The names of arrays of numbers, flags and indices, and the way through a large one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Array of floats of any shape; what each axis holds is said where the array is made."""
Flags = NDArray[np.bool_]
"""Array of yes and no of any shape; what each axis holds is said where the array is made."""
Indices = NDArray[np.int64]
"""Array of places in another array; shape [any]."""
PIECE = 1 << 15
"""Numbers that are worked on at a time: what is made of them stays in the processor's cache, and the system is asked for no memory."""


def in_pieces(array: NDArray[Any]) -> Iterator[slice]:
    """Rows of a matrix, so many at a time that a piece has about `PIECE` numbers."""
    rows = max(1, PIECE // max(array.shape[1], 1))
    return (slice(start, start + rows) for start in range(0, len(array), rows))
