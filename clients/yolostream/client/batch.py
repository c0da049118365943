"""Frames that travel in one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolostream.client.model import Model
from yolostream.errors import FrameError
from yolostream.image import AnyImage, check, size_of


@dataclass(frozen=True)
class Batch:
    """Frames that travel in one request, as one tensor."""

    frames: Sequence[AnyImage]
    """uint8 [H, W, 3] each, RGB; all in the host's memory or all in a GPU's."""
    height: int
    """In pixels. Frames are resized to it, except those that stay in GPU memory."""
    width: int
    """As `height`."""
    original_sizes: Sequence[tuple[int, int]]
    """Height and width of each original picture; boxes are in its pixels."""


def batch_of(
    frames: Sequence[AnyImage],
    sizes: Sequence[tuple[int, int]] | None,
    model: Model,
    *,
    downscale: bool,
) -> Batch:
    """Put frames into one batch, after checking that they fit together.

    Args:
        frames: at least one.
        sizes: height and width of the pictures that the caller downscaled to `frames`; None if the
            frames are the originals.
        model: the frames' destination.
        downscale: whether frames are downscaled to its input.

    Raises:
        FrameError: a frame is not uint8 [H, W, 3], there are too many for `model`, they cannot be
            one tensor because of their sizes or memory, or `sizes` has another length.
    """
    if len(frames) > model.max_batch_size:
        raise FrameError(
            f"a batch of {len(frames)} frames is too large: '{model.name}' takes "
            f"{model.max_batch_size} in a request, so send several"
        )
    for frame in frames:
        check(frame)
    if sizes is not None and len(sizes) != len(frames):
        raise FrameError(f"{len(frames)} frames came with {len(sizes)} sizes: give one a frame")
    given_sizes = [size_of(frame) for frame in frames]
    height, width = _one_size(frames, given_sizes, model, downscale=downscale)
    return Batch(frames, height, width, sizes or given_sizes)


def _one_size(
    frames: Sequence[AnyImage], sizes: list[tuple[int, int]], model: Model, *, downscale: bool
) -> tuple[int, int]:
    on_host = [isinstance(frame, np.ndarray) for frame in frames]
    if any(on_host) and not all(on_host):
        raise FrameError(
            "the frames of a batch lie in the host's memory and in a GPU's: send a batch from each"
        )
    if downscale and all(on_host):
        # Frames in GPU memory keep their sizes: nothing resizes them before the server does.
        sizes = [model.downscaled(*size) for size in sizes]
    first, *others = dict.fromkeys(sizes)
    if others:
        one, other = (f"{height}x{width}" for height, width in (first, others[0]))
        raise FrameError(
            f"the frames of a batch must have one size, got {one} and {other} (height x width, as "
            "they are sent): send a batch of each"
        )
    return model.downscaled(*first) if downscale else first
