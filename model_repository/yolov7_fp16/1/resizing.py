"""Tells which ONNX `Resize` repeats each pixel, so that repeating pixels computes it."""

from __future__ import annotations

_FOR_ANY_SCALE = {
    ("asymmetric", "floor"),
    *(
        (coordinates, rounding)
        for coordinates in ("half_pixel", "pytorch_half_pixel")
        for rounding in ("round_prefer_floor", "round_prefer_ceil")
    ),
}
"""Coordinate modes with rounding modes; see the operator's definition by ONNX."""
_FOR_SCALE_2 = ("asymmetric", "round_prefer_floor")
MODES = {"mode", "coordinate_transformation_mode", "nearest_mode"}
"""Attributes of Resize that `repeats_pixels` takes."""


def repeats_pixels(
    scale: float,
    *,
    mode: bytes = b"nearest",
    coordinate_transformation_mode: bytes = b"half_pixel",
    nearest_mode: bytes = b"round_prefer_floor",
) -> bool:
    """Whether a Resize repeats each pixel `scale` times in both directions.

    Args:
        scale: The factor of height and width.
        mode: Attribute of the operator, as the next two; the defaults are ONNX's.
        coordinate_transformation_mode: How a pixel's place in the input is computed.
        nearest_mode: How that place is rounded.
    """
    modes = coordinate_transformation_mode.decode(), nearest_mode.decode()
    known = modes in _FOR_ANY_SCALE or (modes == _FOR_SCALE_2 and scale <= 2)
    return mode == b"nearest" and known and scale % 1 == 0
