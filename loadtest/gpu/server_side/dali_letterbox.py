"""Letterboxes a batch of frames with a DALI pipeline. It can replace `letterbox_cuda.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import cupy as cp
import numpy as np
import numpy.typing as npt
from nvidia.dali import Pipeline, fn, types  # type: ignore[import-untyped]

from .letterbox import FILL, unrounded_content_rect  # type: ignore[import-not-found]

Frames: TypeAlias = npt.NDArray[np.uint8] | cp.ndarray


class CudaLetterbox:
    """Computes the images and positions of `letterbox.letterbox_all`, and digests of zero.

    Pixels differ by one gray level where DALI rounds otherwise. It uses the current device.

    Args:
        image_shape: 3, height and width of the output images.
        max_batch: Largest number of frames in one call.
    """

    def __init__(self, image_shape: tuple[int, int, int], *, max_batch: int) -> None:
        self._image_shape = image_shape
        self._host = _pipeline("cpu", image_shape, max_batch)
        self._device = _pipeline("gpu", image_shape, max_batch)

    def __call__(self, batches: Sequence[Frames]) -> tuple[cp.ndarray, cp.ndarray]:
        """Letterbox the frames of several requests on the current stream.

        Args:
            batches: uint8 [n, H, W, 3] per request, RGB; in NumPy arrays or in CuPy arrays.

        Returns:
            The images, float32 [n, 3, height, width], RGB, 0..1; and float32 [n, 6]: left, top,
            width and height of each frame in its image, in pixels, and two zeros. The next call
            overwrites the images.
        """
        in_host_memory = all(isinstance(frames, np.ndarray) for frames in batches)
        frames = [
            frame if in_host_memory else cp.asarray(frame) for frames in batches for frame in frames
        ]
        stream = cp.cuda.get_current_stream()
        pipeline = self._host if in_host_memory else self._device
        pipeline.feed_input("frames", frames, layout="HWC", cuda_stream=stream.ptr)
        (images,) = pipeline.run(stream.ptr)
        return cp.from_dlpack(images.as_tensor()), self._letterboxes(frames)

    def _letterboxes(self, frames: Sequence[Any]) -> cp.ndarray:
        _, height, width = self._image_shape
        rects = [
            unrounded_content_rect(
                frame_height=frame.shape[0],
                frame_width=frame.shape[1],
                height=height,
                width=width,
            )
            for frame in frames
        ]
        return cp.asarray(np.pad(np.stack(rects), ((0, 0), (0, 2))))


def _pipeline(memory: str, image_shape: tuple[int, int, int], max_batch: int) -> Pipeline:
    """A pipeline for frames in the memory of the `cpu` or of the `gpu`, without read-ahead."""
    _, height, width = image_shape
    pipeline = Pipeline(
        max_batch,
        num_threads=2,
        device_id=cp.cuda.Device().id,
        prefetch_queue_depth=1,
        exec_dynamic=True,
    )
    with pipeline:
        frames = fn.external_source(name="frames", device=memory, layout="HWC", no_copy=True)
        resized = fn.resize(
            frames.gpu(),
            resize_x=width,
            resize_y=height,
            mode="not_larger",
            interp_type=types.INTERP_LINEAR,
            antialias=False,
        )
        images = fn.crop_mirror_normalize(
            resized,
            crop=(height, width),
            mean=[0.0, 0.0, 0.0],
            std=[255.0, 255.0, 255.0],
            out_of_bounds_policy="pad",
            fill_values=[FILL / 255] * 3,
            dtype=types.FLOAT,
            output_layout="CHW",
        )
        pipeline.set_outputs(images)
    pipeline.build()
    return pipeline
