"""Checks whether the boxes that a service has written are those of its cameras' pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from clips import opened
from yolostream import Detections, Detector
from yolostream.sources import Reading

SURE, VERY_SURE = 0.5, 0.6
"""Scores. Results of a frame in a batch and of the frame alone differ a little. So a written box
with the score `SURE` has to exist, and an existing one with `VERY_SURE` has to be written."""
TOLERANCE_PX = 1.0
"""Pixels of a frame of 1280x720."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Boxes:
    """Objects of one frame."""

    boxes: npt.NDArray[np.float64]
    """[N, 4]: x1, y1, x2, y2 in pixels of the frame."""
    classes: npt.NDArray[np.int64]
    """[N]."""
    scores: npt.NDArray[np.float64]
    """[N]."""

    def sure_of(self, score: float) -> Boxes:
        """The boxes with at least this score."""
        kept = self.scores >= score
        return Boxes(self.boxes[kept], self.classes[kept], self.scores[kept])

    def has(self, other: Boxes) -> bool:
        """Whether these boxes include all boxes of `other`."""
        apart = np.abs(self.boxes[None] - other.boxes[:, None]).max(axis=2)
        alike = (apart <= TOLERANCE_PX) & (self.classes[None] == other.classes[:, None])
        return bool(alike.any(axis=1).all())


@dataclass
class Compared:
    """Counts of a service's lines, and the wrong records."""

    right: int = 0
    wrong: list[Record] = field(default_factory=list)
    torn: int = 0
    """Number of lines that are not valid records."""


def boxes_in(detections: Detections) -> Boxes:
    return Boxes(
        detections.boxes.astype(np.float64),
        detections.class_ids.astype(np.int64),
        detections.scores.astype(np.float64),
    )


def boxes_of(record: Record) -> Boxes:
    found = record["detections"]
    return Boxes(
        np.array([one["box"] for one in found], np.float64).reshape(-1, 4),
        np.array([one["class_id"] for one in found], np.int64),
        np.array([one["confidence"] for one in found], np.float64),
    )


def is_right(written: Boxes, truth: Boxes) -> bool:
    """Whether the written boxes are those of the frame."""
    return truth.has(written.sure_of(SURE)) and written.has(truth.sure_of(VERY_SURE))


def truth_of(clip: Path, detector: Detector) -> list[Boxes]:
    """The boxes of each frame of a clip, downscaled as in the service and sent alone."""
    (source,) = opened(clip)
    session = source.open(Reading(fit=detector.model.input_size))
    try:
        return [boxes_in(detector.detect(frame.image, size=frame.size)) for frame in iter(session)]
    finally:
        session.close()


def by_number(truth: Sequence[Boxes]) -> Callable[[Record], bool]:
    """A judge of the records of a file that is played in a loop."""
    return lambda record: is_right(boxes_of(record), truth[record["frame"] % len(truth)])


def by_pictures(truth: Sequence[Boxes]) -> Callable[[Record], bool]:
    """A judge of the records of a camera that plays a clip from its start to each client."""
    latest = 0

    def judge(record: Record) -> bool:
        nonlocal latest
        written = boxes_of(record)
        # It is usually the next frame, so the search starts there.
        for step in range(len(truth)):
            number = (latest + 1 + step) % len(truth)
            if is_right(written, truth[number]):
                latest = number
                return True
        return False

    return judge


def compared(folder: Path, judge: Callable[[Record], bool]) -> Compared:
    """Judge all lines in a camera's folder."""
    seen = Compared()
    for line in _lines(folder):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            seen.torn += 1
            continue
        if judge(record):
            seen.right += 1
        else:
            seen.wrong.append(record)
    return seen


def _lines(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.jsonl")):
        yield from path.read_text().splitlines()
