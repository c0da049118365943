"""Compares every mode of DeepStream with the client; the result is a dictionary for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from yolostream import Detections

from tests.deepstream_parity.front_ends import MODES, Mode, by_client, by_deepstream, reach
from tests.deepstream_parity.material import Material
from tools.agreement import agreement
from tools.evaluation.dataset import match
from tools.evaluation.scoring import coco_results, score

REPOSITORY = Path(__file__).parents[2]
MODEL = REPOSITORY / "model_repository" / "yolov7_fp16" / "1" / "model.onnx"

METRICS = ("AP", "AP50")
"""COCO's metrics: the mean over IoU 0.50, 0.55, ... 0.95, and the value at IoU 0.50."""

CLIENTS = {"shrunk": True, "full size": False}
"""How the Python client sends a frame: downscaled to the network's input (the default), or not."""


def measure(url: str, material: Material) -> dict[str, Any]:
    """The accuracy of both front ends on `material`, and their agreement."""
    clients = {
        name: by_client(url, material, downscale=downscale) for name, downscale in CLIENTS.items()
    }
    modes = {name: by_deepstream(url, material, mode) for name, mode in MODES.items()}
    return {
        "frames": len(material.frames),
        "accuracy": {name: accuracy(material, found) for name, found in (clients | modes).items()},
        "pairs": [
            {"mode": mode, "client": client, **compare(material, found, sent, MODES[mode])}
            for mode, found in modes.items()
            for client, sent in clients.items()
        ],
    }


def compare(
    material: Material, deepstream: Sequence[Detections], client: Sequence[Detections], mode: Mode
) -> dict[str, Any]:
    """The agreement of the boxes, as they are and clipped to the range of both front ends."""
    found = list(zip(deepstream, client, strict=True))
    limits = [reach((frame.width, frame.height), mode) for frame in material.frames]
    compared = agreement(found)
    inside = agreement(
        (_cut(one, limit), _cut(other, limit))
        for (one, other), limit in zip(found, limits, strict=True)
    )
    return {
        "deepstream_boxes": compared.boxes[0],
        "client_boxes": compared.boxes[1],
        "unpaired": sum(compared.boxes) - 2 * len(compared.ious),
        "agreeing": round(compared.share, 4),
        "agreeing_edges_aside": round(inside.share, 4),
        "median_iou": round(float(np.median(compared.ious)), 4),
        "median_score_difference": round(float(np.median(compared.score_differences)), 4),
    }


def _cut(found: Detections, limit: npt.NDArray[np.float32]) -> Detections:
    return replace(found, boxes=np.clip(found.boxes, 0, limit))


def accuracy(material: Material, found: Sequence[Detections]) -> dict[str, float]:
    """Mean average precision with the ensemble's default thresholds, by the name of the metric."""
    matching = match(material.truth, found[0].labels)
    rows = [np.column_stack([f.boxes, f.scores, f.class_ids]).astype(np.float32) for f in found]
    overall = score(material.truth, matching, coco_results(material.truth, matching, rows)).overall
    return {metric: round(_known(overall[metric]), 4) for metric in METRICS}


def _known(value: float | None) -> float:
    assert value is not None, "the material contains no objects"
    return value
