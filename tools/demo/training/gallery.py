"""All source pictures and labels as tensors on the training device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tools.demo.training.pictures import Floats, Picture

SIDE = 640
# A picture and its halvings are side by side, so that one lookup serves every scale:
# level 0 at x = 0, level 1 at x = 640, and below that one levels 2 and 3.
ATLAS_WIDTH = SIDE + SIDE // 2
LEVEL_ORIGINS = ((0, 0), (SIDE, 0), (SIDE, SIDE // 2), (SIDE, SIDE // 2 + SIDE // 4))
MAX_BOXES = 60
_CHUNK = 64
_GRAY = 114


@dataclass(frozen=True)
class Gallery:
    """Room for N pictures, filled from the front.

    Attributes:
        texels: Int32 [N, 640 * 960], R + 256 G + 65536 B, row by row of each picture's atlas.
        sizes: Float [N, 2], width and height in pixels.
        boxes: Float [N, 60, 4], x1, y1, x2, y2 in pixels; unused rows are zero.
        channels: Int64 [N, 60], class channel of each box; -1 where unused.
        ignored: Float [N, 60, 4], like `boxes`.
        annotated: Bool [N, classes], which class channels are labeled in the picture.
        sources: Source name of each picture; its length is the number of pictures.
    """

    texels: Tensor
    sizes: Tensor
    boxes: Tensor
    channels: Tensor
    ignored: Tensor
    annotated: Tensor
    sources: list[str]

    @property
    def device(self) -> torch.device:
        """The device of all tensors."""
        return self.texels.device

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.sources)

    def append(self, pictures: Iterable[Picture], *, class_ids: tuple[int, ...]) -> None:
        """Add pictures, some at a time.

        Args:
            pictures: Read once; there must be room for them.
            class_ids: COCO id of each class channel.
        """
        for chunk in _chunks(pictures):
            rows = slice(len(self), len(self) + len(chunk))
            sizes = np.array([p.pixels.shape[1::-1] for p in chunk], np.float32)
            annotated = np.array([[i in p.annotated for i in class_ids] for p in chunk])
            self.texels[rows] = _atlases(chunk, self.device).flatten(1)
            self.sizes[rows] = torch.from_numpy(sizes).to(self.device)
            self.boxes[rows] = torch.from_numpy(_padded([p.boxes for p in chunk])).to(self.device)
            self.channels[rows] = _channels(chunk, class_ids).to(self.device)
            self.ignored[rows] = torch.from_numpy(_padded([p.ignored for p in chunk])).to(
                self.device
            )
            self.annotated[rows] = torch.from_numpy(annotated).to(self.device)
            self.sources.extend(p.source for p in chunk)


def empty_gallery(room: int, *, classes: int, device: torch.device) -> Gallery:
    """A gallery for up to `room` pictures and so many class channels."""
    return Gallery(
        texels=torch.empty(room, SIDE * ATLAS_WIDTH, dtype=torch.int32, device=device),
        sizes=torch.zeros(room, 2, device=device),
        boxes=torch.zeros(room, MAX_BOXES, 4, device=device),
        channels=torch.full((room, MAX_BOXES), -1, device=device),
        ignored=torch.zeros(room, MAX_BOXES, 4, device=device),
        annotated=torch.zeros(room, classes, dtype=torch.bool, device=device),
        sources=[],
    )


def _chunks(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    iterator = iter(pictures)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _atlases(pictures: list[Picture], device: torch.device) -> Tensor:
    """Int32 [n, 640, 960] packed pixels of all levels."""
    canvas = np.full((len(pictures), SIDE, SIDE, 3), _GRAY, np.uint8)
    for i, picture in enumerate(pictures):
        height, width = picture.pixels.shape[:2]
        canvas[i, :height, :width] = picture.pixels
    level = torch.from_numpy(canvas).to(device).permute(0, 3, 1, 2).float()
    atlas = torch.zeros(len(pictures), SIDE, ATLAS_WIDTH, dtype=torch.int32, device=device)
    for x, y in LEVEL_ORIGINS:
        side = level.shape[-1]
        red, green, blue = level.round().to(torch.int32).unbind(1)
        atlas[:, y : y + side, x : x + side] = red + (green << 8) + (blue << 16)
        level = functional.avg_pool2d(level, 2)
    return atlas


def _padded(arrays: list[Floats]) -> Floats:
    rows = np.zeros((len(arrays), MAX_BOXES, 4), np.float32)
    for row, array in zip(rows, arrays, strict=True):
        row[: len(array)] = array[:MAX_BOXES]
    return rows


def _channels(pictures: list[Picture], class_ids: tuple[int, ...]) -> Tensor:
    channels = np.full((len(pictures), MAX_BOXES), -1, np.int64)
    for row, picture in zip(channels, pictures, strict=True):
        known = [class_ids.index(class_id) for class_id in picture.class_ids[:MAX_BOXES]]
        row[: len(known)] = known
    return torch.from_numpy(channels)
