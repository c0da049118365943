"""Computes nvinferserver's letterbox, as in its published source code."""

from __future__ import annotations

from itertools import count
from typing import Any, NamedTuple

Size = tuple[int, int]
"""Width and height in pixels."""


class Rectangle(NamedTuple):
    """The position and size of the frame in the tensor, in pixels of the tensor."""

    left: int
    top: int
    width: int
    height: int

    @property
    def is_shifted(self) -> bool:
        """Whether the picture is shifted against the position that boxes are mapped back from.

        The scaler writes to even rows and columns only, and rounds an odd position up. That was
        measured in DeepStream 9.1 for rows, and is assumed for columns.
        """
        return self.left % 2 == 1 or self.top % 2 == 1


def content_rect(source: Size, tensor: Size, preprocess: Any) -> Rectangle:
    """Fit the muxer's frame into the tensor.

    Args:
        source: size of the muxer's frame.
        tensor: size of the network's input.
        preprocess: nvinferserver's settings `maintain_aspect_ratio` and `symmetric_padding`.
    """
    source_width, source_height = map(even, source)
    width, height = tensor
    if preprocess.maintain_aspect_ratio:
        fitted_height = width * source_height / source_width
        if fitted_height <= height:
            height = int(fitted_height)
        else:
            width = int(height * source_width / source_height)
    width, height = even(width), even(height)
    if not preprocess.symmetric_padding:
        return Rectangle(0, 0, width, height)
    return Rectangle((tensor[0] - width) // 2, (tensor[1] - height) // 2, width, height)


def nearest_unshifted(source: Size, tensor: Size, preprocess: Any) -> Size:
    """The size closest to `source` whose picture is not shifted; see `Rectangle.is_shifted`."""
    width, height = map(even, source)
    for change in count(2, 2):
        for size in (
            (width - change, height),
            (width + change, height),
            (width, height - change),
            (width, height + change),
        ):
            if min(size) > 0 and not content_rect(size, tensor, preprocess).is_shifted:
                return size
    raise AssertionError("the tensor's own size lands")


def even(length: int) -> int:
    """A length rounded down to an even number of pixels, as DeepStream does."""
    return length - length % 2
