"""Names of NumPy's array types, and the number that stands for null in arrays of counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

UNKNOWN_COUNT = -1
"""Stands for null in arrays of counts, indices and answers."""
