"""The step `preprocess`: from frames of any size to the network's input.

`letterbox*.py` do the work.
"""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from .digest import digests
from .gpu import Gpu
from .letterbox import FrameError, check_frames, letterbox_all
from .pause import PauseWatch

if TYPE_CHECKING:
    # The real module lacks the first of them while this file is imported.
    Requests = Sequence[pb_utils.InferenceRequest]
    Answers = list[pb_utils.InferenceResponse]
Array = Any
"""Of NumPy, or of CuPy where the step is on a GPU."""


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        image_shape = tuple(pb_utils.get_output_config_by_name(config, "images")["dims"])
        on_gpu = args["model_instance_kind"] == "GPU"
        self.stage: _GpuStage | _CpuStage = (
            _GpuStage(config, int(args["model_instance_device_id"]), image_shape)
            if on_gpu
            else _CpuStage(image_shape)
        )
        self.pause = PauseWatch(config["name"])
        # The objects made so far stay for ever, so the garbage collector need not visit them. Its
        # runs would delay frames.
        gc.freeze()

    def execute(self, requests: Requests) -> Answers:
        """Letterbox the frames of all requests as one batch; sizes may differ."""
        answers = self._letterboxed(requests)
        self.pause.check()
        return answers

    def _letterboxed(self, requests: Requests) -> Answers:
        tensors = [pb_utils.get_input_tensor_by_name(request, "frames") for request in requests]
        try:
            with self.stage.computing():
                batches = [self.stage.read(tensor) for tensor in tensors]
                errors = [_error_of(frames) for frames in batches]
                accepted = [frames for frames, error in zip(batches, errors) if error is None]
                results = self.stage.letterbox(accepted) if accepted else ()
        except MemoryError as error:
            if len(requests) > 1:  # One by one, only a request that is too large fails.
                return [answer for request in requests for answer in self._letterboxed([request])]
            return [_no_memory_for(tensors[0], error)]
        answers = self._answers(accepted, results)
        return [
            next(answers) if error is None else pb_utils.InferenceResponse(error=error)
            for error in errors
        ]

    def _answers(
        self, batches: Sequence[Array], results: Sequence[Array]
    ) -> Iterator[pb_utils.InferenceResponse]:
        """Make the response to each request from its part of the results."""
        start = 0
        for frames in batches:
            images, letterboxes = (array[start : start + len(frames)] for array in results)
            start += len(frames)
            yield pb_utils.InferenceResponse(
                [self.stage.tensor("images", images), self.stage.tensor("letterbox", letterboxes)]
            )


class _CpuStage:
    computing = contextlib.nullcontext

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        self.image_shape = image_shape
        # Frames are small, so OpenCV's thread pool would cost more than it saves.
        cv2.setNumThreads(1)

    def read(self, tensor: pb_utils.Tensor) -> npt.NDArray[np.uint8]:
        return tensor.as_numpy()

    def letterbox(self, batches: Sequence[npt.NDArray[np.uint8]]) -> tuple[Array, Array]:
        frames = [frame for frames in batches for frame in frames]
        images, content_rects = letterbox_all(frames, self.image_shape)
        return images, np.hstack([content_rects, digests(frames)])

    def tensor(self, name: str, array: Array) -> pb_utils.Tensor:
        return pb_utils.Tensor(name, array)


class _GpuStage:
    def __init__(
        self, config: dict[str, Any], device: int, image_shape: tuple[int, int, int]
    ) -> None:
        self.gpu = Gpu(config, device)
        # Both outputs are on the GPU, because ensembles need the outputs of a step in one memory.
        self.computing, self.tensor = self.gpu.computing, self.gpu.tensor
        with self.gpu.opening():
            from .host_pages import keep_freed_memory
            from .letterbox_cuda import CudaLetterbox

            keep_freed_memory()
            self.letterbox = CudaLetterbox(image_shape, max_batch=config["max_batch_size"])

    def read(self, tensor: pb_utils.Tensor) -> Array:
        # Frames in host memory are copied to the GPU later, from Triton's page-locked memory.
        # `as_numpy` may return a copy by the Python backend, whose pages are not locked.
        return np.from_dlpack(tensor) if tensor.is_cpu() else self.gpu.array(tensor)


def _error_of(frames: Array) -> pb_utils.TritonError | None:
    try:
        check_frames(frames)
    except FrameError as error:
        return pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
    return None


def _no_memory_for(tensor: pb_utils.Tensor, error: MemoryError) -> pb_utils.InferenceResponse:
    message = (
        f"no memory for frames {list(tensor.shape())} ({error}): downscale them before sending"
    )
    return pb_utils.InferenceResponse(
        error=pb_utils.TritonError(message, pb_utils.TritonError.INTERNAL)
    )
