"""Checks whether nvinferserver scales the muxer's frames without distorting or shifting them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yolostream.doctor.check import Finding
from yolostream.doctor.deepstream.letterbox import Rectangle, Size, content_rect, nearest_unshifted

_BILINEAR, _SUPER, _NEAREST = 1, 3, (0, 5)
"""Values of `frame_scaling_filter`."""
_LEAST_SIDE = 2
"""Smallest width or height of a frame or tensor in pixels: DeepStream rounds down to even ones."""
_FILTER = "[primary-gie] config-file: frame_scaling_filter"
_FIX = "write 2, cubic"


def check_picture(size: Size, infer: Any, file: str) -> Iterator[Finding]:
    """Report settings that distort or shift objects.

    Args:
        size: width and height of the muxer's frame, in pixels.
        infer: nvinferserver's `infer_config`.
        file: path of nvinferserver's file, for messages.
    """
    for layer in infer.backend.inputs:
        sides = [side for side in layer.dims if side != 3]
        if len(sides) != 2 or min(*size, *sides) < _LEAST_SIDE:
            # Other checks report this, or the input is not a picture.
            continue
        tensor = sides[1], sides[0]
        picture = content_rect(size, tensor, infer.preprocess)
        if picture.width and picture.height:
            yield from _shape(size, tensor, infer.preprocess, file)
            yield from _place(size, tensor, infer.preprocess)
            yield from _scaling(size, picture, infer.preprocess.frame_scaling_filter)


def _shape(size: Size, tensor: Size, preprocess: Any, file: str) -> Iterator[Finding]:
    width, height = size
    if not preprocess.maintain_aspect_ratio and width * tensor[1] != height * tensor[0]:
        what = f"{width}x{height} is stretched to the tensor's {tensor[0]}x{tensor[1]}"
        yield "[streammux] width", what, f"write dims: [ {height}, {width}, 3 ] in {file}"


def _place(size: Size, tensor: Size, preprocess: Any) -> Iterator[Finding]:
    (width, height), picture = size, content_rect(size, tensor, preprocess)
    if picture.is_shifted:
        # Padding is only on one axis, so the other position is 0.
        corner, off = max(
            (picture.left, width / picture.width), (picture.top, height / picture.height)
        )
        what = (
            f"{width}x{height} would begin at pixel {corner} of the tensor, an odd one: DeepStream "
            f"writes it to {corner + 1}, which moves every box by {off:.1f} pixels"
        )
        better = nearest_unshifted(size, tensor, preprocess)
        yield "[streammux] width", what, f"write width={better[0]} and height={better[1]}"


def _scaling(size: Size, picture: Rectangle, number: int) -> Iterator[Finding]:
    """Report a filter that shifts boxes or fails at this scale."""
    to = f"{size[0]}x{size[1]} to {picture.width}x{picture.height}"
    if number in _NEAREST and (picture.width, picture.height) != size:
        yield _FILTER, f"{number} takes the nearest pixel from {to}, and moves boxes", _FIX
    elif number == _BILINEAR:
        right, down = size[0] / picture.width / 2, size[1] / picture.height / 2
        what = f"1 moves every box {right:.1f} pixels to the right and {down:.1f} down, from {to}"
        yield _FILTER, what, _FIX
    elif number == _SUPER and not (picture.width < size[0] and picture.height < size[1]):
        yield _FILTER, f"3 ends DeepStream where a frame is not shrunk, as from {to}", _FIX
    elif number == _SUPER and (size[0] > 2 * picture.width or size[1] > 2 * picture.height):
        what = f"3 leaves the edge of the picture green where it shrinks to less than half, {to}"
        yield _FILTER, what, _FIX
