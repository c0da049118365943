"""Labeled pictures, from photographs and generated scenes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

SCENE_SOURCE = "scene"
# Scenes are rendered in the size of a demo clip, and downscaled as by the client.
_FILMED = (1280, 720)
_SENT = (640, 360)


@dataclass(frozen=True)
class Picture:
    """A picture with its labels.

    Attributes:
        pixels: RGB [H, W, 3], long side at most 640.
        boxes: [n, 4] x1, y1, x2, y2 in pixels.
        class_ids: [n] COCO ids.
        ignored: [k, 4] like `boxes`: regions where a detection is neither right nor wrong.
        annotated: COCO ids of the classes that are labeled here; others may be in the picture.
        source: `scene`, or the prefix of the photograph's file name.
    """

    pixels: Bytes
    boxes: Floats
    class_ids: Integers
    ignored: Floats
    annotated: tuple[int, ...]
    source: str


class Annotations(Protocol):
    """The labels of a generated scene, as far as training needs them."""

    @property
    def class_ids(self) -> Integers:
        """COCO ids [n]."""

    @property
    def boxes(self) -> Floats:
        """x1, y1, x2, y2 in pixels [n, 4]."""

    @property
    def ignore(self) -> npt.NDArray[np.bool_]:
        """Whether an object is ignored, bool [n]."""


SceneSampler = Callable[..., tuple[Bytes, Annotations]]
"""`sampler(seed, *, width, height)` -> RGB picture [height, width, 3] and its labels."""


def annotated_classes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Per file prefix, the COCO ids that its labels cover."""
    data = json.loads((folder / "annotated_classes.json").read_text(encoding="utf-8"))
    return {prefix: tuple(sorted(ids)) for prefix, ids in data["prefix_annotated_classes"].items()}


def photograph_paths(folder: Path, split: str) -> list[Path]:
    """Paths of the photographs of a split, sorted.

    Args:
        folder: Holds `images`, `labels` and `ignore`, each with a folder per split.
        split: `train` or `val`.

    Raises:
        ValueError: There are none.
    """
    paths = sorted((folder / "images" / split).glob("*.jpg"))
    if not paths:
        raise ValueError(f"no photographs in {folder / 'images' / split}")
    return paths


def photograph(path: Path, *, annotated: dict[str, tuple[int, ...]]) -> Picture:
    """Read one photograph with its labels; `annotated` is the result of `annotated_classes`."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"cannot read the picture {path}")
    height, width = bgr.shape[:2]
    folder, split, source = path.parents[2], path.parent.name, path.name.split("_")[0]
    labels = _labels(folder / "labels" / split / f"{path.stem}.txt", width=width, height=height)
    ignored = _labels(folder / "ignore" / split / f"{path.stem}.txt", width=width, height=height)
    return Picture(
        pixels=cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8),
        boxes=labels[:, 1:],
        class_ids=labels[:, 0].astype(np.int64),
        ignored=ignored[:, 1:],
        annotated=annotated[source],
        source=source,
    )


def _labels(path: Path, *, width: int, height: int) -> Floats:
    """Rows of (class, x1, y1, x2, y2) in pixels; empty if there is no file."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    rows = np.array([line.split() for line in text.splitlines()], np.float32).reshape(-1, 5)
    center, half = rows[:, 1:3], rows[:, 3:5] / 2
    size = np.array([width, height], np.float32)
    return np.concatenate([rows[:, :1], (center - half) * size, (center + half) * size], axis=1)


def scene(seed: int, *, sampler: SceneSampler, annotated: tuple[int, ...]) -> Picture:
    """Draw one generated scene, 640 x 360."""
    pixels, annotations = sampler(seed, width=_FILMED[0], height=_FILMED[1])
    boxes = annotations.boxes * np.float32(_SENT[0] / _FILMED[0])
    return Picture(
        pixels=cv2.resize(pixels, _SENT, interpolation=cv2.INTER_AREA).astype(np.uint8),
        boxes=boxes[~annotations.ignore],
        class_ids=annotations.class_ids[~annotations.ignore],
        ignored=boxes[annotations.ignore],
        annotated=annotated,
        source=SCENE_SOURCE,
    )
