"""The frames of one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolostream.client.model import Model
from yolostream.errors import FrameError
from yolostream.image import AnyImage, check, size_of


@dataclass(frozen=True)
class Batch:
    """The frames of one request, which are sent as one tensor."""

    frames: Sequence[AnyImage]
    """uint8 [H, W, 3] each, RGB; all in host memory or all in GPU memory."""
    height: int
    """Height in pixels. Frames are resized to it, except those that stay in GPU memory."""
    width: int
    """Width in pixels; otherwise as `height`."""
    original_sizes: Sequence[tuple[int, int]]
    """Height and width of each original frame; boxes are in its pixels."""


def batch_of(
    frames: Sequence[AnyImage],
    sizes: Sequence[tuple[int, int]] | None,
    model: Model,
    *,
    downscale: bool,
) -> Batch:
    """Check that frames can be sent in one request, and make a batch of them.

    Args:
        frames: at least one; uint8 [H, W, 3] each, RGB.
        sizes: height and width of the original frames, if the caller has downscaled them to
            `frames`; None if `frames` are the originals.
        model: the model that the batch is for.
        downscale: whether to downscale frames to the input size of `model`.

    Raises:
        FrameError: a frame is not uint8 [H, W, 3]; the batch is larger than `model` allows; the
            frames differ in size or kind of memory; or `sizes` has another length than `frames`.
    """
    if len(frames) > model.max_batch_size:
        raise FrameError(
            f"a batch of {len(frames)} frames is too large: '{model.name}' takes at most "
            f"{model.max_batch_size} in a request, so send several requests"
        )
    for frame in frames:
        check(frame)
    if sizes is not None and len(sizes) != len(frames):
        raise FrameError(f"{len(frames)} frames came with {len(sizes)} sizes: give one per frame")
    given_sizes = [size_of(frame) for frame in frames]
    height, width = _one_size(frames, given_sizes, model, downscale=downscale)
    return Batch(frames, height, width, sizes or given_sizes)


def _one_size(
    frames: Sequence[AnyImage], sizes: list[tuple[int, int]], model: Model, *, downscale: bool
) -> tuple[int, int]:
    on_host = [isinstance(frame, np.ndarray) for frame in frames]
    if any(on_host) and not all(on_host):
        raise FrameError(
            "some frames of a batch are in host memory and some in GPU memory: send two batches"
        )
    if downscale and all(on_host):
        # The server downscales frames in GPU memory, so they keep their sizes here.
        sizes = [model.downscaled(*size) for size in sizes]
    first, *others = dict.fromkeys(sizes)
    if others:
        one, other = (f"{height}x{width}" for height, width in (first, others[0]))
        raise FrameError(
            f"the frames of a batch must have one size, got {one} and {other} (height x width, as "
            "they are sent): send one batch per size"
        )
    return model.downscaled(*first) if downscale else first
