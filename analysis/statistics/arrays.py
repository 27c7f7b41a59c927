"""The one name of an array of numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Of any shape; what each axis holds is said where the array is made."""
