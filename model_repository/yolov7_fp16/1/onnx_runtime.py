"""ONNX Runtime on a GPU: with TensorRT if its libraries are installed, else with CUDA kernels."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cupy as cp
import numpy as np
import onnx
import onnxruntime

from .half import INPUT, OUTPUT, to_fp16

# One run allocates memory, and the next captures the CUDA graph.
_WARM_UP_RUNS = 3


class OnnxRuntime:
    """A session that reads and writes device memory, with one CUDA graph per batch size.

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
        # Loads CUDA, cuDNN and the other libraries from NVIDIA's wheels.
        onnxruntime.preload_dlls()
        options = onnxruntime.SessionOptions()
        # With memory patterns it would allocate a second block for all tensors after the first run.
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(
            to_fp16(onnx.load(model)).SerializeToString(),
            options,
            providers=_providers(inputs, stream),
        )
        if "CUDAExecutionProvider" not in self._session.get_providers():
            # ONNX Runtime would silently use the CPU.
            raise RuntimeError("ONNX Runtime cannot load CUDA and cuDNN")
        self._runs = {size: self._prepared(size, inputs, outputs) for size in batch_sizes}
        # The largest batch first, because the others then fit into its memory.
        for size in reversed(batch_sizes):
            for _ in range(_WARM_UP_RUNS):
                self.launch(size)
        stream.synchronize()

    def launch(self, batch_size: int) -> None:
        """Start to compute the first `batch_size` rows of the output."""
        self._session.run_with_iobinding(*self._runs[batch_size])

    def _prepared(self, size: int, inputs: cp.ndarray, outputs: cp.ndarray) -> tuple[Any, Any]:
        binding = self._session.io_binding()
        for bind, name, array in (
            (binding.bind_input, INPUT, inputs[:size]),
            (binding.bind_output, OUTPUT, outputs[:size]),
        ):
            bind(name, "cuda", array.device.id, np.float32, array.shape, array.data.ptr)
        options = onnxruntime.RunOptions()
        # Each batch size has a CUDA graph of its own.
        options.add_run_config_entry("gpu_graph_id", str(size))
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        return binding, options


def _providers(inputs: cp.ndarray, stream: cp.cuda.Stream) -> list[tuple[str, dict[str, str]]]:
    shared = {"device_id": str(inputs.device.id), "user_compute_stream": str(stream.ptr)}
    cuda = {
        **shared,
        "prefer_nhwc": "1",
        # fuse_conv_bias is a third faster, but with two processes under MPS it hung the GPU.
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "enable_cuda_graph": "1",
        "arena_extend_strategy": "kSameAsRequested",
    }
    providers = [("CUDAExecutionProvider", cuda)]
    if _has_tensorrt():
        providers.insert(0, ("TensorrtExecutionProvider", {**shared, **_tensorrt(inputs.shape)}))
    return providers


def _tensorrt(shape: tuple[int, ...]) -> dict[str, str]:
    largest, *image = shape
    one, all_of_them = (f"{INPUT}:{'x'.join(map(str, (n, *image)))}" for n in (1, largest))
    return {
        "trt_fp16_enable": "1",
        "trt_cuda_graph_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_timing_cache_enable": "1",
        "trt_engine_cache_path": str(Path(tempfile.gettempdir()) / "yolostream-tensorrt"),
        # One engine for all batch sizes.
        "trt_profile_min_shapes": one,
        "trt_profile_opt_shapes": all_of_them,
        "trt_profile_max_shapes": all_of_them,
    }


def _has_tensorrt() -> bool:
    if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
        return False
    try:
        ctypes.CDLL("libnvinfer.so.10")
    except OSError:
        return False
    return True
