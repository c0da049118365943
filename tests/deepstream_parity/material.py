"""Frames for the comparison, and their objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
from yolostream.image import Image

from tests.nvinferserver.surfaces import as_video
from tools.demo.streets import CLASS_NAMES, sample
from tools.demo.streets.truth import write_coco
from tools.evaluation.dataset import Dataset
from tools.evaluation.picture import Picture

VIDEOS = Path(__file__).parents[2] / "videos"
CLIPS = ("mb1_1", "mb2_2")

# Larger than all seeds that are used in training or in the evaluation of the demo model.
FIRST_SCENE_SEED = 9_700_000
SCENE_SIZE = (1280, 720)

Labels = list[dict[str, Any]]
"""COCO annotations of one frame."""


@dataclass(frozen=True)
class Material:
    sources: list[list[av.VideoFrame]]
    truth: Dataset
    """Annotations whose pictures are the frames, source by source."""

    @property
    def frames(self) -> list[av.VideoFrame]:
        """All frames, source by source."""
        return [frame for source in self.sources for frame in source]

    def images(self) -> Iterator[Image]:
        """The frames that the Python client sends, source by source."""
        return (frame.to_ndarray(format="rgb24") for frame in self.frames)


def clips(*, every: int, names: Sequence[str] = CLIPS) -> Material:
    """Every Nth frame of the demo clips."""
    sources, labels = [], []
    for name in names:
        with av.open(str(VIDEOS / f"{name}.mp4")) as video:
            decoded = enumerate(video.decode(video=0))
            sources.append([f for i, f in decoded if i % every == 0])
        labels += _labels(VIDEOS / f"{name}.coco.json")[::every]
    return Material(sources, _truth(sources, labels))


def scenes(count: int) -> Material:
    """Generated pictures of streets as one source."""
    width, height = SCENE_SIZE
    drawn = [sample(FIRST_SCENE_SEED + n, width=width, height=height) for n in range(count)]
    sources = [[as_video(image) for image, _ in drawn]]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scenes.json"
        annotations = [annotations for _, annotations in drawn]
        write_coco(path, annotations, video_name="scenes", size=SCENE_SIZE, fps=1)
        labels = _labels(path)
    return Material(sources, _truth(sources, labels))


def _labels(coco: Path) -> list[Labels]:
    document = json.loads(coco.read_text())
    frames: list[Labels] = [[] for _ in document["images"]]
    for row in document["annotations"]:
        frames[row["image_id"]].append(row)
    return frames


def _truth(sources: Sequence[Sequence[av.VideoFrame]], labels: Sequence[Labels]) -> Dataset:
    frames = [frame for source in sources for frame in source]
    return Dataset(
        path=VIDEOS,
        pictures=tuple(
            Picture(number, VIDEOS, frame.width, frame.height)
            for number, frame in enumerate(frames, 1)
        ),
        annotations=tuple(
            {**row, "image_id": number} for number, frame in enumerate(labels, 1) for row in frame
        ),
        categories=CLASS_NAMES,
    )
