"""The kinds of arrays that statistics and models pass around."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
"""Numbers, doubles."""

Codes = npt.NDArray[np.int64]
"""Places of groups, counted from 0."""
