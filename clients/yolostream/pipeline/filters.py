"""Selects detections by confidence and class."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from yolostream.detections import Detections

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectionFilter:
    """Keeps the detections with a minimum confidence and of certain classes."""

    min_confidence: float = 0.0
    """0 to 1."""
    classes: str | None = None
    """The classes to keep, as for `class_ids`; None keeps every class."""

    def __call__(self, detections: Detections) -> Detections:
        """The detections to keep."""
        wanted = detections.scores >= self.min_confidence
        if self.classes is not None:
            wanted &= np.isin(detections.class_ids, _wanted(self.classes, detections.labels))
        return detections if wanted.all() else detections[wanted]


def class_ids(words: str, labels: tuple[str, ...]) -> frozenset[int]:
    """Parse a list of classes.

    Args:
        words: names or numbers, separated by commas. A name may contain commas; the longest match
            is taken.
        labels: the model's class names, by class id.

    Returns:
        The class ids.

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
                f"the model has no class '{parts[0].strip()}', only: {', '.join(labels)}"
            )
        ids |= found
        del parts[:count]
    return frozenset(ids)


@lru_cache
def _wanted(words: str, labels: tuple[str, ...]) -> list[int]:
    """The class ids to keep; none if a restarted server's model lacks one of these classes."""
    try:
        return list(class_ids(words, labels))
    except ValueError as error:
        _log.warning("all objects are left out from now on: %s", error)
        return []


def _ids_of(word: str, labels: tuple[str, ...]) -> set[int]:
    """The class ids of a name, which several classes may have, or of a number."""
    if word in labels:
        return {class_id for class_id, label in enumerate(labels) if label == word}
    is_number = word.isascii() and word.isdigit() and int(word) < len(labels)
    return {int(word)} if is_number else set()
