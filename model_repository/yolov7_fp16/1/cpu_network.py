"""The network on the CPU, with ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

Floats = npt.NDArray[np.float32]


class CpuNetwork:
    """A session of ONNX Runtime that uses a part of the cores.

    Args:
        model: ONNX file.
        threads: Number of threads of this session; 0 divides the cores equally.
        instances: Number of sessions that share the cores.
    """

    def __init__(self, model: Path, *, threads: int, instances: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or max(1, len(os.sched_getaffinity(0)) // instances)
        # Idle threads must not spin, because decoding, tracking and encoding need the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def run(self, batches: Sequence[Floats]) -> list[Floats]:
        """Run the network on the images of several requests as one batch.

        Args:
            batches: float32 [n, 3, H, W] per request, RGB, 0..1.

        Returns:
            float32 [n, rows, 6] per request: x1, y1, x2, y2 in pixels, confidence 0..1, class id.
        """
        images = batches[0] if len(batches) == 1 else np.concatenate(batches)
        (output,) = self._session.run(["output"], {"input": images})
        ends = np.cumsum([len(batch) for batch in batches])
        return list(np.split(output, ends[:-1]))
