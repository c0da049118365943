"""Draws the trails of tracked objects."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

from yolostream.detections import Detections
from yolostream.image import Image
from yolostream.pipeline.drawing import color_of_row, color_rows, scale_for

_MOST_POINTS = 300
"""Most points of one trail: 10 s at 30 frames/s."""


class Trails:
    """Draws the path of each object, as a line through the bottom centres of its boxes.

    Args:
        seconds: the length of a trail in time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._points: dict[int, deque[tuple[float, float, float]]] = {}

    def draw_on(self, scene: Image, detections: Detections, time_s: float) -> None:
        """Draw on a frame in place. Frames must be given in the order of their times.

        Args:
            scene: the frame, uint8 [H, W, 3], RGB.
            detections: the frame's detections; those without a number have no trail.
            time_s: the frame's presentation time in seconds.
        """
        if detections.track_ids is None:
            return
        self._add(detections.boxes, detections.track_ids, time_s)
        self._forget(time_s - self._seconds)
        width = max(1, round(1.5 * scale_for(scene)))
        rows = dict(
            zip(detections.track_ids.tolist(), color_rows(detections).tolist(), strict=True)
        )
        for track_id, row in rows.items():
            points = self._points.get(track_id, ())
            if len(points) > 1:
                # In sixteenths of a pixel (`shift=4`): a trail in whole pixels would jitter.
                way = np.rint(np.array(points)[:, 1:] * 16).astype(np.int32)
                cv2.polylines(scene, [way], False, color_of_row(row), width, cv2.LINE_AA, shift=4)

    def _add(
        self, boxes: npt.NDArray[np.float32], track_ids: npt.NDArray[np.int64], time_s: float
    ) -> None:
        middles, bottoms = (boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]
        for track_id, x, y in zip(
            track_ids.tolist(), middles.tolist(), bottoms.tolist(), strict=True
        ):
            if track_id > 0:
                points = self._points.setdefault(track_id, deque(maxlen=_MOST_POINTS))
                points.append((time_s, x, y))

    def _forget(self, before_s: float) -> None:
        for track_id, points in list(self._points.items()):
            while points and points[0][0] < before_s:
                points.popleft()
            if not points:
                del self._points[track_id]
