"""Draws boxes, names and numbers on frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from yolostream.detections import Detections
from yolostream.image import Image

_Color = tuple[int, int, int]
"""Red, green, blue, 0..255."""

# Distinct from each other, and readable on asphalt by day and by night.
_COLORS: tuple[_Color, ...] = (
    (255, 176, 0),
    (61, 220, 151),
    (76, 201, 240),
    (255, 107, 107),
    (199, 125, 255),
    (249, 248, 113),
    (255, 158, 205),
    (158, 240, 26),
)
_BLACK, _WHITE, _NAVY = (0, 0, 0), (255, 255, 255), (20, 33, 61)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# The tallest letters: their height is used for every text, so that all labels are equally high.
_TALLEST = "|Ág"


@dataclass(frozen=True)
class LabelOptions:
    """What the label of a box contains."""

    name: bool = True
    confidence: bool = True
    track_id: bool = True


class Annotator:
    """Draws detections on frames. The color depends on the track or, without one, on the class.

    Args:
        title: text in the upper left corner; empty for none.
        labels: what the label of a box contains.
    """

    def __init__(self, title: str, *, labels: LabelOptions = LabelOptions()) -> None:
        self._title = title
        self._labels = labels

    def draw(self, image: Image, detections: Detections) -> Image:
        """Return a copy of `image` (uint8 [H, W, 3], RGB) with the detections on it."""
        scene = image.copy()
        self.draw_on(scene, detections)
        return scene

    def draw_on(self, scene: Image, detections: Detections) -> None:
        """Draw the detections on `scene` (uint8 [H, W, 3], RGB) itself."""
        scale = scale_for(scene)
        self._draw_title(scene, scale)
        if len(detections):
            line_width = round(2 * scale)
            corners = _corners(detections.boxes, scene, line_width)
            colors = color_rows(detections)
            _draw_boxes(scene, corners, colors, line_width)
            self._draw_labels(scene, corners, colors, detections, scale)

    def _draw_title(self, scene: Image, scale: float) -> None:
        # Drawn first, so that it hides no label of an object.
        if self._title:
            margin = round(5 * scale)
            look = _Look(0.55 * scale, _WHITE, _NAVY, padding=round(8 * scale))
            _paste(scene, _patch(self._title, look), margin, margin)

    def _draw_labels(
        self,
        scene: Image,
        corners: npt.NDArray[np.int32],
        colors: npt.NDArray[np.int64],
        detections: Detections,
        scale: float,
    ) -> None:
        looks = [_Look(0.45 * scale, _BLACK, color, padding=round(2 * scale)) for color in _COLORS]
        labels = zip(corners.tolist(), colors.tolist(), self._texts_of(detections), strict=True)
        # In ascending order of scores, so that the label of the best one is on top.
        for (left, top, _, _), color, texts in reversed(list(labels)):
            patches = [_patch(text, looks[color]) for text in texts if text]
            _paste_label(scene, patches, left, top)

    def _texts_of(self, detections: Detections) -> list[tuple[str, str]]:
        """Two texts for each box: its number and name, and its score.

        They are drawn apart because only the score varies: the others come from the cache.
        """
        shown, count = self._labels, len(detections)
        names = detections.names if shown.name else [""] * count
        if shown.track_id and detections.track_ids is not None:
            numbers = detections.track_ids.tolist()
            names = [
                f"#{number} {name}".rstrip() if number > 0 else name
                for number, name in zip(numbers, names, strict=True)
            ]
        scores = [""] * count
        if shown.confidence:
            scores = [f"{score:.2f}" for score in detections.scores.tolist()]
        return list(zip(names, scores, strict=True))


class _Look(NamedTuple):
    """The style of a label."""

    scale: float
    """Scale of the letters, in OpenCV's unit."""
    color: _Color
    background: _Color
    padding: int
    """Pixels on each side."""

    @property
    def weight(self) -> int:
        """Thickness of the letters, in OpenCV's unit."""
        return max(1, round(1.8 * self.scale))


def scale_for(scene: Image) -> float:
    """Scale of lines and letters, 1 for a picture of 640x360 or smaller.

    It grows with the square root of the picture's scale. A large picture is downscaled to the same
    screen as a small one, which asks for larger letters, but it also shows smaller objects.
    """
    return max(1.0, math.sqrt(min(scene.shape[:2]) / 360))


def _corners(
    boxes: npt.NDArray[np.float32], scene: Image, line_width: int
) -> npt.NDArray[np.int32]:
    """The outermost pixels of the lines, in the picture: int32 [n, 4] of x1, y1, x2, y2."""
    height, width = scene.shape[:2]
    outside = np.array([-1, -1, 1, 1]) * (line_width // 2)
    last = np.array([width, height, width, height]) - 1
    corners: npt.NDArray[np.int32] = (np.rint(boxes) + outside).clip(0, last).astype(np.int32)
    return corners


def color_rows(detections: Detections) -> npt.NDArray[np.int64]:
    """Index of the color of each object, int64 [n]: by its track or, without one, its class."""
    rows = detections.class_ids
    if detections.track_ids is not None:
        rows = np.where(detections.track_ids > 0, detections.track_ids, rows)
    return rows % len(_COLORS)


def color_of_row(row: int) -> _Color:
    """The color (red, green, blue, 0..255) with an index from `color_rows`."""
    return _COLORS[row]


def _draw_boxes(
    scene: Image,
    corners: npt.NDArray[np.int32],
    colors: npt.NDArray[np.int64],
    line_width: int,
) -> None:
    # Nested thin rectangles, drawn at once for each color: thick lines take OpenCV several times
    # as long.
    insets = np.arange(line_width, dtype=np.int32)[:, None] * np.array([1, 1, -1, -1], np.int32)
    rings = corners[:, None, :] + insets
    points = rings[..., [0, 1, 2, 1, 2, 3, 0, 3]].reshape(len(corners), line_width, 4, 2)
    for row, color in enumerate(_COLORS):
        of_color = points[colors == row]
        if len(of_color):
            cv2.polylines(scene, list(of_color.reshape(-1, 4, 2)), True, color)


def _paste_label(scene: Image, patches: list[Image], left: int, top: int) -> None:
    """Put a label above the box at `left` and `top`, or inside it if there is no room above."""
    if patches:
        label_height, label_width = len(patches[0]), sum(patch.shape[1] for patch in patches)
        left = max(0, min(left, scene.shape[1] - label_width))
        above = top - label_height
        top = above if above >= 0 else max(0, min(top, scene.shape[0] - label_height))
    for patch in patches:
        _paste(scene, patch, left, top)
        left += patch.shape[1]


def _paste(scene: Image, patch: Image, left: int, top: int) -> None:
    """Copy the part of `patch` that fits into `scene`."""
    place = scene[top : top + patch.shape[0], left : left + patch.shape[1]]
    place[...] = patch[: place.shape[0], : place.shape[1]]


# Cached, because the same names and scores recur in all sources, and drawing text takes ten times
# as long as copying. At 1080p, a full cache takes about 20 MB.
@lru_cache(maxsize=2048)
def _patch(text: str, look: _Look) -> Image:
    """A filled box with `text`: uint8 [h, w, 3], RGB; the height depends only on `look`."""
    (width, _), _ = cv2.getTextSize(text, _FONT, look.scale, look.weight)
    (_, ascent), descent = cv2.getTextSize(_TALLEST, _FONT, look.scale, look.weight)
    shape = ascent + descent + 2 * look.padding, width + 2 * look.padding, 3
    patch = np.full(shape, look.background, np.uint8)
    origin = look.padding, look.padding + ascent
    cv2.putText(patch, text, origin, _FONT, look.scale, look.color, look.weight, cv2.LINE_AA)
    return patch
