"""Filters as cuDNN reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def laid_out(weight: npt.NDArray[Any], outputs: int, inputs: int) -> Floats:
    """Put channels last, and fill both kinds of channels up with zeros.

    Args:
        weight: [K, C, R, S], as ONNX has it.
        outputs: K with those that fill up.
        inputs: C with those that fill up.

    Returns:
        float32 [outputs, R, S, inputs].
    """
    kept = weight.astype(np.float32).transpose(0, 2, 3, 1)
    return np.pad(kept, ((0, outputs - len(kept)), (0, 0), (0, 0), (0, inputs - kept.shape[3])))


def filled_up(bias: npt.NDArray[Any], outputs: int) -> Floats:
    """Fill up with zeros: float32 [outputs]."""
    return np.pad(bias.astype(np.float32), (0, outputs - len(bias)))
