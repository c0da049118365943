"""The network without a server around it: ONNX Runtime in this process."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Tensor = npt.NDArray[np.float32]


def bare_network(model: Path, *, sessions: int, threads: int) -> Callable[[Tensor], Future[Tensor]]:
    """Run the network in this process.

    Args:
        model: ONNX file.
        sessions: That run side by side; one of them is the plain loop.
        threads: Of each.

    Returns:
        Takes `input`, float32 [1, 3, H, W], and answers with `output`, in a thread a session.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(sessions):
        free.put(onnxruntime.InferenceSession(model, options))
    pool = ThreadPoolExecutor(sessions)

    def run(tensor: Tensor) -> Tensor:
        session = free.get()
        try:
            (output,) = session.run(["output"], {"input": tensor})
        finally:
            free.put(session)
        return output  # type: ignore[no-any-return]  # onnxruntime has no types

    return lambda tensor: pool.submit(run, tensor)
