"""Boxes, names and numbers on a frame, with supervision's annotators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import supervision as sv

from yolostream.detections import Detections
from yolostream.image import Image

# Readable on asphalt by day and by night, and apart from each other.
_COLORS = ("#ffb000", "#3ddc97", "#4cc9f0", "#ff6b6b", "#c77dff", "#f9f871", "#ff9ecd", "#9ef01a")
_TITLE_BACKGROUND = sv.Color.from_hex("#14213d")


@dataclass(frozen=True)
class Labels:
    """What stands on a box."""

    name: bool = True
    confidence: bool = True
    track_id: bool = True


class Painter:
    """Draws on frames of one size; colors go by track, else by class."""

    def __init__(self, title: str, *, labels: Labels = Labels()) -> None:
        self._title = title
        self._labels = labels
        # supervision writes BGR, our frames are RGB: its red is our blue.
        palette = sv.ColorPalette([_swapped(sv.Color.from_hex(color)) for color in _COLORS])
        self._boxes = sv.BoxAnnotator(palette, thickness=2)
        self._texts = sv.LabelAnnotator(
            palette,
            text_color=sv.Color.BLACK,
            text_scale=0.45,
            text_padding=3,
            # Whole also where the box is at the edge of the picture.
            smart_position=True,
        )

    def draw(self, image: Image, detections: Detections) -> Image:
        """Return a copy of `image` (uint8 [H, W, 3], RGB) with the detections on it."""
        scene = image.copy()
        if len(detections):
            lookup = _color_rows(detections)
            boxes = sv.Detections(xyxy=detections.boxes)
            self._boxes.annotate(scene, boxes, custom_color_lookup=lookup)
            # One by one: together they would be spread apart, which takes long in a crowd.
            for row, text in enumerate(self._texts_of(detections)):
                if text:
                    box = sv.Detections(xyxy=detections.boxes[[row]])
                    color = lookup[[row]]
                    self._texts.annotate(scene, box, labels=[text], custom_color_lookup=color)
        self._draw_title(scene)
        return scene

    def _texts_of(self, detections: Detections) -> list[str]:
        track_ids = detections.track_ids
        numbers = [-1] * len(detections) if track_ids is None else track_ids.tolist()
        return [
            " ".join(
                part
                for part, shown in (
                    (f"#{number}", self._labels.track_id and number > 0),
                    (name, self._labels.name),
                    (f"{score:.2f}", self._labels.confidence),
                )
                if shown
            )
            for name, score, number in zip(
                detections.names, detections.scores.tolist(), numbers, strict=True
            )
        ]

    def _draw_title(self, scene: Image) -> None:
        if self._title:
            anchor = sv.Point(x=14 + 5 * len(self._title), y=20)
            sv.draw_text(
                scene,
                self._title,
                anchor,
                text_color=sv.Color.WHITE,
                text_scale=0.55,
                text_padding=8,
                background_color=_swapped(_TITLE_BACKGROUND),
            )


def _swapped(color: sv.Color) -> sv.Color:
    return sv.Color(r=color.b, g=color.g, b=color.r)


def _color_rows(detections: Detections) -> npt.NDArray[np.int64]:
    """Index into the palette: the track where there is one, else the class."""
    if detections.track_ids is None:
        return detections.class_ids
    return np.where(detections.track_ids > 0, detections.track_ids, detections.class_ids)
