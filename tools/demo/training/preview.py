"""Writes a contact sheet of training pictures, which shows the augmentation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from tools.demo.training.targets import Targets

# RGB per class channel.
_COLORS = ((0, 255, 0), (255, 0, 0), (0, 128, 255), (255, 255, 0), (255, 0, 255))
_IGNORED_COLOR = (160, 160, 160)
_COLUMNS = 4


def write_sheet(path: Path, images: Tensor, targets: Targets) -> None:
    """Write float [b, 3, H, W] RGB 0..1 with boxes by class color; ignored regions are gray."""
    pixels = (images * 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    sheets = []
    for i, picture in enumerate(pixels):
        sheet = np.ascontiguousarray(picture)
        for box in targets.ignored[i].cpu().numpy().round().astype(int):
            cv2.rectangle(sheet, box[:2].tolist(), box[2:].tolist(), _IGNORED_COLOR, 1)
        channels = targets.channels[i].cpu().numpy()
        boxes = targets.boxes[i].cpu().numpy().round().astype(int)
        for channel, box in zip(channels, boxes, strict=True):
            if channel >= 0:
                color = _COLORS[channel % len(_COLORS)]
                cv2.rectangle(sheet, box[:2].tolist(), box[2:].tolist(), color, 2)
        sheets.append(sheet)
    rows = [np.hstack(sheets[i : i + _COLUMNS]) for i in range(0, len(sheets), _COLUMNS)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
