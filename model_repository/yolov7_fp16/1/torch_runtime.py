"""PyTorch on a GPU: compiles the ONNX file with TorchInductor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cupy as cp
import onnx
import torch
from torch._inductor.async_compile import shutdown_compile_workers

from .half import to_fp16
from .onnx_module import module_of

_WARM_UP_RUNS = 3


class TorchRuntime:
    """A compiled module, with one CUDA graph per batch size.

    Args:
        model: ONNX file.
        inputs: float32 [at least the largest batch size, 3, H, W].
        outputs: float32 [at least the largest batch size, rows, 6].
        batch_sizes: Batch sizes to capture, ascending.
        stream: CUDA stream of all work.
    """

    def __init__(
        self,
        model: Path,
        *,
        inputs: cp.ndarray,
        outputs: cp.ndarray,
        batch_sizes: Sequence[int],
        stream: cp.cuda.Stream,
    ) -> None:
        torch.backends.cudnn.benchmark = True
        module = module_of(to_fp16(onnx.load(model))).eval().cuda(inputs.device.id)
        module = module.to(memory_format=torch.channels_last)
        compiled = torch.compile(module, dynamic=False)
        own = torch.cuda.ExternalStream(stream.ptr)
        torch.cuda.set_stream(own)
        self._graphs = {}
        # The graphs never run at the same time, so they can share memory.
        pool = torch.cuda.graph_pool_handle()
        with torch.inference_mode():
            # The largest batch first, because the others then fit into its memory.
            for size in reversed(batch_sizes):
                images, rows = (torch.from_dlpack(array[:size]) for array in (inputs, outputs))
                for _ in range(_WARM_UP_RUNS):
                    rows.copy_(compiled(images))
                self._graphs[size] = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self._graphs[size], pool=pool, stream=own):
                    rows.copy_(compiled(images))
        # The compiler's processes would otherwise stay for as long as the server runs.
        shutdown_compile_workers()
        stream.synchronize()

    def launch(self, batch_size: int) -> None:
        """Start to compute the first `batch_size` rows of the output."""
        self._graphs[batch_size].replay()
