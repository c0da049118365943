"""The same object, the same number, from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import supervision as sv
from trackers import CBIoUTracker

from yolostream.detections import Detections


@dataclass(frozen=True)
class TrackerLimits:
    """The original design's limits; scores are 0..1, times in seconds."""

    max_targets: int = 150
    """Objects followed at once in one source; the best ones win."""
    min_confidence: float = 0.25
    """Weaker detections are not followed."""
    start_confidence: float = 0.7
    """A new track starts only with this much; weaker detections only continue one."""
    min_frames: int = 2
    """Consecutive frames before an object gets its number."""
    reassociate_s: float = 1.0
    """An object that comes back within this time keeps its number; 0 turns that off."""


class Tracker:
    """ByteTrack's two rounds, strong detections before weak ones, for one source.

    Boxes are matched with a margin around them (C-BIoU, WACV 2023): small fast objects, whose
    boxes in two frames hardly overlap, keep their number.
    """

    def __init__(self, frame_rate: float, limits: TrackerLimits = TrackerLimits()) -> None:
        self._limits = limits
        self._tracker = CBIoUTracker(
            frame_rate=frame_rate,
            # The library counts this in frames of a 30 fps video, whatever the frame rate.
            lost_track_buffer=round(limits.reassociate_s * 30),
            track_activation_threshold=limits.start_confidence,
            minimum_consecutive_frames=limits.min_frames,
            instant_first_frame_activation=False,
        )

    def update(self, detections: Detections) -> Detections:
        """Number the objects of the next frame.

        Returns:
            The same objects, same order, with `track_ids`: 1-based, -1 where not followed.
        """
        track_ids = np.full(len(detections), -1, dtype=np.int64)
        strong = np.flatnonzero(detections.scores >= self._limits.min_confidence)
        followed = strong[: self._limits.max_targets]
        tracked = self._tracker.update(
            sv.Detections(
                xyxy=detections.boxes[followed],
                confidence=detections.scores[followed],
                class_id=detections.class_ids[followed],
                data={"row": followed},
            )
        )
        if len(tracked):
            # The library counts from 0 and says -1 where there is no track.
            numbers = np.asarray(tracked.tracker_id)
            track_ids[tracked.data["row"]] = np.where(numbers >= 0, numbers + 1, -1)
        return replace(detections, track_ids=track_ids)
