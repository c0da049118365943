"""The network without a server around it: ONNX Runtime in this process."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Share:
    """How a server shares the cores among instances of the network."""

    instances: int
    threads: int
    """Of one instance."""

    @classmethod
    def of(cls, config: Any) -> Share:
        """Read it from the network's `ModelConfig`."""
        instances = sum(group.count for group in config.instance_group)
        threads = int(config.parameters["intra_op_threads"].string_value)
        # 0 shares the cores, as model.py does.
        return cls(instances, threads or max(1, len(os.sched_getaffinity(0)) // instances))


def bare_network(model: Path, share: Share) -> Callable[[Tensor], Future[Tensor]]:
    """Start as many sessions as the server has instances.

    Args:
        model: ONNX file.
        share: Sessions, and threads of each.

    Returns:
        Takes `input`, float32 [1, 3, H, W], and answers with `output`, in a thread a session.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = share.threads
    sessions: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(share.instances):
        sessions.put(onnxruntime.InferenceSession(model, options))
    pool = ThreadPoolExecutor(share.instances)

    def run(tensor: Tensor) -> Tensor:
        session = sessions.get()
        try:
            (output,) = session.run(["output"], {"input": tensor})
        finally:
            sessions.put(session)
        return output  # type: ignore[no-any-return]  # onnxruntime has no types

    return lambda tensor: pool.submit(run, tensor)
