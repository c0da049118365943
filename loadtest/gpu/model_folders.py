"""A model repository of its own for a measurement: the committed one is never touched."""

from __future__ import annotations

import shutil
from pathlib import Path

from loadtest.repository import MODELS
from tools.model_folders.files import CONFIG, read_config

ENSEMBLE = "yolov7"
PREPROCESS, NETWORK, NMS = "preprocess", "yolov7_fp16", "nms"
STEPS = (PREPROCESS, NETWORK, NMS)

# A copy of the weights would take as long as a measurement.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "model.onnx*", "*.plan*", "*.pt*")


def write_repository(folder: Path, onnx: Path, *, models: Path = MODELS) -> None:
    """Write the ensemble and its steps, with another network.

    Args:
        folder: To be made.
        onnx: The network's file, which is linked to.
        models: Model repository to copy from.
    """
    for name in (ENSEMBLE, *STEPS):
        shutil.copytree(models / name, folder / name, ignore=_LEFT_OUT)
    (folder / NETWORK / "1" / "model.onnx").symlink_to(onnx.resolve())


def thresholds(models: Path = MODELS) -> dict[str, float]:
    """What `nms` goes by: `confidence` and `iou`, 0..1, and `max_detections` a frame.

    Args:
        models: Model repository.

    Raises:
        RepositoryError: Its configuration is not to be read.
    """
    told = read_config(models / NMS / CONFIG).parameters
    return {
        "confidence": float(told["confidence_threshold"].string_value),
        "iou": float(told["iou_threshold"].string_value),
        "max_detections": int(told["max_detections"].string_value),
    }
