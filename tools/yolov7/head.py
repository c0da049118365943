"""The detection head, which computes raw maps and decodes them to boxes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tools.yolov7.table import Table

# Fields of one anchor in a raw map: x, y, w, h, objectness, then one logit per class.
BOX_FIELDS = 4
FIELDS_BEFORE_CLASSES = 5


class Detect(nn.Module):
    """One 1x1 convolution per level; channel = anchor x fields + field."""

    anchors: Tensor
    """Float [levels, anchors, 2]: (width, height) of each anchor box, in units of the stride."""

    class_ids: Tensor
    """Float [classes]: the class id of each class channel."""

    def __init__(self, inputs: list[int], table: Table) -> None:
        super().__init__()
        self.strides = table.strides
        self.anchors_per_level = len(table.anchors[0])
        self.fields = FIELDS_BEFORE_CLASSES + len(table.class_ids)
        outputs = self.anchors_per_level * self.fields
        self.m = nn.ModuleList(nn.Conv2d(channels, outputs, 1) for channels in inputs)
        pixels = torch.tensor(table.anchors, dtype=torch.float32)
        strides = torch.tensor(table.strides, dtype=torch.float32)
        self.register_buffer("anchors", pixels / strides[:, None, None])
        ids = torch.tensor(table.class_ids, dtype=torch.float32)
        self.register_buffer("class_ids", ids, persistent=False)
        self._channel_is_id = table.class_ids == tuple(range(len(table.class_ids)))

    def forward(self, *maps: Tensor) -> list[Tensor]:
        """Features [b, C, H, W] per level -> raw maps, float [b, anchors x fields, H, W]."""
        return [conv(features) for conv, features in zip(self.m, maps, strict=True)]

    def decode(self, maps: list[Tensor]) -> Tensor:
        """Turn raw maps into boxes.

        Args:
            maps: Raw maps of all levels.

        Returns:
            Float [b, N, 6]: x1, y1, x2, y2 in pixels of the network's input (not clipped to it),
            confidence (objectness times the best class's probability, 0..1) and class id. Rows are
            ordered by level, then anchor, then y, with x fastest.
        """
        return torch.cat([self._decode_level(i, level) for i, level in enumerate(maps)], dim=1)

    def _decode_level(self, index: int, level: Tensor) -> Tensor:
        # Plain numbers, so that an exported graph holds the cells as constants.
        height, width = int(level.shape[2]), int(level.shape[3])
        cells = height * width
        raw = level.reshape(-1, self.anchors_per_level, self.fields, cells)
        box = raw[:, :, :BOX_FIELDS].sigmoid()
        center, size = box[:, :, :2], box[:, :, 2:]
        stride = float(self.strides[index])
        center = center * (2.0 * stride) + (self._cells(height, width, level) - 0.5) * stride
        # Half of the box (2 s)^2 x anchor, for computing the corners.
        half = size * size * (self.anchors[index] * (2.0 * stride)).reshape(1, -1, 2, 1)
        scores = torch.cat(self._scores(raw), dim=2)
        rows = torch.cat([center - half, center + half, scores], dim=2)
        return rows.transpose(2, 3).reshape(-1, self.anchors_per_level * cells, 6)

    def _scores(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        # The sigmoid rises, so that of the best logit is the best, and one does for all classes.
        logits = raw[:, :, FIELDS_BEFORE_CLASSES:]
        objectness = raw[:, :, BOX_FIELDS : BOX_FIELDS + 1].sigmoid()
        if logits.shape[2] == 1:
            # The official training leaves the probability of an only class untaught.
            return objectness, self.class_ids.reshape(1, 1, 1, 1).expand_as(objectness)
        best = logits.amax(dim=2, keepdim=True)
        channel = logits.argmax(dim=2, keepdim=True)
        class_id = channel.to(raw.dtype) if self._channel_is_id else self.class_ids[channel]
        return objectness * best.sigmoid(), class_id

    def _cells(self, height: int, width: int, like: Tensor) -> Tensor:
        rows = torch.arange(height, device=like.device, dtype=like.dtype)
        columns = torch.arange(width, device=like.device, dtype=like.dtype)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return torch.stack([x, y]).reshape(1, 1, 2, height * width)
