"""What a picture is, everywhere in this package."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""uint8 [height, width, 3], RGB."""
