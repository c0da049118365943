"""Evaluates a network during its training."""

from __future__ import annotations

import numpy as np
import torch

from tools.demo.training.average_precision import Finding, average_precision
from tools.demo.training.gallery import Gallery
from tools.demo.training.layout import letterbox_layout
from tools.demo.training.pictures import Floats
from tools.demo.training.render import FILL, render
from tools.demo.training.suppress import suppress
from tools.demo.training.targets import Targets, targets_of
from tools.yolov7 import Network

_LEAST_CONFIDENCE = 0.005


@torch.no_grad()
def class_precisions(network: Network, gallery: Gallery, *, batch: int) -> dict[int, float]:
    """Average precision at IoU 0.5 per class id, over the pictures in which the class is labeled.

    Args:
        network: In evaluation mode, on the gallery's device.
        gallery: Pictures that were not trained on.
        batch: Pictures at a time.
    """
    class_ids = network.table.class_ids
    findings: list[list[Finding]] = [[] for _ in class_ids]
    for pictures in torch.split(torch.arange(len(gallery), device=gallery.device), batch):
        layout = letterbox_layout(gallery, pictures)
        images, inside = render(gallery, layout)
        rows, stands = suppress(network(torch.where(inside, images, FILL)))
        stands &= rows[..., 4] > _LEAST_CONFIDENCE
        targets = _on_cpu(targets_of(gallery, layout))
        for i, detections in enumerate(_detections(rows, stands)):
            for channel, finding in _findings(detections, targets, i, class_ids):
                findings[channel].append(finding)
    return {i: average_precision(found) for i, found in zip(class_ids, findings, strict=True)}


def _on_cpu(targets: Targets) -> Targets:
    return Targets(
        targets.boxes.cpu(), targets.channels.cpu(), targets.ignored.cpu(), targets.annotated.cpu()
    )


def _detections(rows: torch.Tensor, stands: torch.Tensor) -> list[Floats]:
    numbers, keep = rows.float().cpu().numpy(), stands.cpu().numpy()
    return [picture[kept] for picture, kept in zip(numbers, keep, strict=True)]


def _findings(
    detections: Floats, targets: Targets, picture: int, class_ids: tuple[int, ...]
) -> list[tuple[int, Finding]]:
    """One finding per labeled class of one picture of a batch."""
    boxes = targets.boxes[picture].numpy()
    channels = targets.channels[picture].numpy()
    ignored = targets.ignored[picture].numpy()
    annotated = targets.annotated[picture].numpy()
    return [
        (
            int(channel),
            Finding(
                detections[detections[:, 5] == class_ids[channel], :5],
                boxes[channels == channel],
                ignored,
            ),
        )
        for channel in np.flatnonzero(annotated)
    ]
