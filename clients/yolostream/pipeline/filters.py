"""Which objects count."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from yolostream.detections import Detections

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectionFilter:
    """Which objects count."""

    min_confidence: float = 0.0
    classes: str | None = None
    """See `class_ids`; None takes every class."""

    def __call__(self, detections: Detections) -> Detections:
        """The detections that count."""
        wanted = detections.scores >= self.min_confidence
        if self.classes is not None:
            wanted &= np.isin(detections.class_ids, _wanted(self.classes, detections.labels))
        return detections if wanted.all() else detections[wanted]


def class_ids(words: str, labels: tuple[str, ...]) -> frozenset[int]:
    """The classes that somebody names.

    Args:
        words: names or numbers, separated by commas. A name may have commas in it itself: of all
            that may be meant, the longest is.
        labels: names by class id.

    Raises:
        ValueError: the model has no such class.
    """
    ids: set[int] = set()
    parts = words.split(",")
    while parts:
        for count in range(len(parts), 0, -1):
            if found := _ids_of(",".join(parts[:count]).strip(), labels):
                break
        else:
            raise ValueError(
                f"the model knows no class '{parts[0].strip()}', only: {', '.join(labels)}"
            )
        ids |= found
        del parts[:count]
    return frozenset(ids)


@lru_cache
def _wanted(words: str, labels: tuple[str, ...]) -> list[int]:
    """The classes that count with these names: another server may have come, with others."""
    try:
        return list(class_ids(words, labels))
    except ValueError as error:
        _log.warning("no object counts any more: %s", error)
        return []


def _ids_of(word: str, labels: tuple[str, ...]) -> set[int]:
    """Those of a name, which several classes may have, or a number."""
    if word in labels:
        return {class_id for class_id, label in enumerate(labels) if label == word}
    is_number = word.isascii() and word.isdigit() and int(word) < len(labels)
    return {int(word)} if is_number else set()
