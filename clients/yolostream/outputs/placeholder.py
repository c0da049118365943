"""The picture that is shown while a camera is away."""

from __future__ import annotations

import cv2
import numpy as np

from yolostream.image import Image

DIMMED = 0.25
"""Brightness of the last frame, as a factor, so that it is not mistaken for a live one."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TALLEST = "|Ág"
_WHITE, _AMBER = (255, 255, 255), (255, 176, 0)
_NAME_SHARE, _TEXT_SHARE = 0.1, 0.06
"""Height of the letters, as a fraction of the picture's smaller side."""
_WIDTH_SHARE = 0.9
"""Largest width of a line, as a fraction of the picture's width."""


def picture(last: Image | tuple[int, int], name: str, text: str) -> Image:
    """Draw the name of a camera, and why it has no picture.

    Args:
        last: its last frame, uint8 [H, W, 3], RGB; or height and width in pixels if there was none.
        name: the camera's name.
        text: text below the name, such as "away since 02:45:10 UTC"; it may have several lines.

    Returns:
        uint8 [H, W, 3], RGB: the last frame, dimmed and blurred, with the text on it.
    """
    scene = np.zeros((*last, 3), np.uint8) if isinstance(last, tuple) else _dimmed(last)
    side = min(scene.shape[:2])
    lines = [
        (name, _NAME_SHARE, _WHITE),
        *((line, _TEXT_SHARE, _AMBER) for line in text.split("\n")),
    ]
    spacing = 1.7 * _NAME_SHARE * side
    baseline = scene.shape[0] / 2 - spacing * (len(lines) - 1) / 2
    for words, share, color in lines:
        _write(scene, words, baseline, share * side, color)
        baseline += spacing
    return scene


def _dimmed(image: Image) -> Image:
    # Blurred, because boxes and numbers of the last frame would be taken for current ones.
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(1, width // 16), max(1, height // 16)), interpolation=cv2.INTER_AREA
    )
    blurred = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.convertScaleAbs(blurred, alpha=DIMMED)  # type: ignore[return-value]  # OpenCV's stub widens the dtype


def _write(
    scene: Image, words: str, middle: float, letter_height: float, color: tuple[int, int, int]
) -> None:
    """Write one line centred at the height `middle`; shrink it, then cut it, if it does not fit."""
    room = _WIDTH_SHARE * scene.shape[1]
    scale = letter_height / _size(_TALLEST, 1.0)[1]
    smallest = scale / 2
    if (width := _size(words, smallest)[0]) > room:
        words = words[: int(len(words) * room / width) - 1] + "…"
    scale *= min(1.0, room / max(1, _size(words, scale)[0]))
    width, height = _size(words, scale)
    origin = (scene.shape[1] - width) // 2, round(middle + height / 2)
    cv2.putText(scene, words, origin, _FONT, scale, color, _weight(scale), cv2.LINE_AA)


def _size(words: str, scale: float) -> tuple[int, int]:
    """Width and height of a line, in pixels."""
    (width, height), _ = cv2.getTextSize(words, _FONT, scale, _weight(scale))
    return width, height


def _weight(scale: float) -> int:
    return max(1, round(2 * scale))
