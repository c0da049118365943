"""Where the parts of this repository are, and a model repository with another network."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.model_folders.files import CONFIG, read_config

REPOSITORY = Path(__file__).resolve().parents[1]
MODELS = REPOSITORY / "model_repository"
SERVER_ENVIRONMENT = REPOSITORY / ".venv-server"
VIDEOS = REPOSITORY / "videos"
RESULTS_FOLDER = REPOSITORY / "loadtest" / "results"

ENSEMBLE = "yolov7"
PREPROCESS, NETWORK, NMS = "preprocess", "yolov7_fp16", "nms"
STEPS = (PREPROCESS, NETWORK, NMS)

# Copying the weights would take as long as a measurement.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "model.onnx*", "*.plan*", "*.pt*")


def write_repository(folder: Path, onnx: Path) -> None:
    """Copy the ensemble and its steps, with a link to another network.

    Args:
        folder: To be made.
        onnx: The file of the network.
    """
    for name in (ENSEMBLE, *STEPS):
        shutil.copytree(MODELS / name, folder / name, ignore=_LEFT_OUT)
    (folder / NETWORK / "1" / "model.onnx").symlink_to(onnx.resolve())


def thresholds(models: Path = MODELS) -> dict[str, float]:
    """The settings of `nms`: `confidence` and `iou`, 0..1, and `max_detections` of a frame."""
    told = read_config(models / NMS / CONFIG).parameters
    return {
        "confidence": float(told["confidence_threshold"].string_value),
        "iou": float(told["iou_threshold"].string_value),
        "max_detections": int(told["max_detections"].string_value),
    }
