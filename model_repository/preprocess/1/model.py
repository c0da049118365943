"""Frames of any size in, the detector's input out. The work is in `letterbox*.py`."""

from __future__ import annotations

import gc
import json

import cv2
import numpy as np
import triton_python_backend_utils as pb_utils

from .gpu import Gpu
from .letterbox import FrameError, check_frames, letterbox_all


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        image_shape = tuple(pb_utils.get_output_config_by_name(config, "images")["dims"])
        on_gpu = args["model_instance_kind"] == "GPU"
        self.stage = (
            _GpuStage(int(args["model_instance_device_id"]), image_shape, config["max_batch_size"])
            if on_gpu
            else _CpuStage(image_shape)
        )
        # What is there by now stays: looking through it again and again would hold up frames.
        gc.freeze()

    def execute(self, requests):
        """Letterbox the frames of all requests as one batch, whatever their sizes."""
        tensors = [pb_utils.get_input_tensor_by_name(request, "frames") for request in requests]
        batches = [self.stage.read(tensor) for tensor in tensors]
        errors = [_error_of(frames) for frames in batches]
        accepted = [frames for frames, error in zip(batches, errors) if error is None]
        try:
            answers = iter(self._letterboxed(accepted))
        except MemoryError as error:
            if len(requests) > 1:  # One that is too large fails alone.
                return [answer for request in requests for answer in self.execute([request])]
            answers = iter([_no_memory_for(batches[0], error)])
        return [
            next(answers) if error is None else pb_utils.InferenceResponse(error=error)
            for error in errors
        ]

    def _letterboxed(self, batches):
        if not batches:
            return []
        images, places = self.stage.letterbox(batches)
        ends = np.cumsum([len(frames) for frames in batches]).tolist()
        return [
            pb_utils.InferenceResponse(
                [
                    self.stage.tensor("images", images[start:end]),
                    self.stage.tensor("letterbox", places[start:end]),
                ]
            )
            for start, end in zip([0, *ends], ends)
        ]


class _CpuStage:
    def __init__(self, image_shape):
        self.image_shape = image_shape
        # Frames are small: waking a pool of threads for one costs more than it saves.
        cv2.setNumThreads(1)

    def read(self, tensor):
        return tensor.as_numpy()

    def tensor(self, name, array):
        return pb_utils.Tensor(name, array)

    def letterbox(self, batches):
        return letterbox_all([frame for frames in batches for frame in frames], self.image_shape)


class _GpuStage:
    def __init__(self, device, image_shape, max_batch):
        self.gpu = Gpu("preprocess", device)
        with self.gpu.opening():
            from .letterbox_cuda import CudaLetterbox

            self.cuda_letterbox = CudaLetterbox(image_shape, max_batch=max_batch)

    def read(self, tensor):
        # Frames in host memory are copied all at once later.
        return tensor.as_numpy() if tensor.is_cpu() else self.gpu.array(tensor)

    def tensor(self, name, array):
        # Both outputs stay on the GPU: an ensemble loses its way where one does and one does not.
        return pb_utils.Tensor.from_dlpack(name, array)

    def letterbox(self, batches):
        with self.gpu.computing():
            return self.cuda_letterbox(batches)


def _error_of(frames):
    try:
        check_frames(frames)
    except FrameError as error:
        return pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
    return None


def _no_memory_for(frames, error):
    message = f"no memory for frames {list(frames.shape)} ({error}): shrink them before sending"
    return pb_utils.InferenceResponse(
        error=pb_utils.TritonError(message, pb_utils.TritonError.UNAVAILABLE)
    )
