"""What is served, without a server: ONNX Runtime between the server's own pure modules."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import onnxruntime

from tools.model_folders.files import REPOSITORY

Rows = npt.NDArray[np.float32]
"""float32 [n, 6]: x1, y1, x2, y2 in the picture's pixels, confidence 0..1, class id; best first."""

BareDetector = Callable[[npt.NDArray[np.uint8]], Rows]


def load_detector(
    model: Path,
    *,
    confidence: float,
    iou: float,
    max_detections: int,
    class_agnostic: bool = False,
    threads: int | None = None,
    repository: Path = REPOSITORY,
) -> BareDetector:
    """A function from a picture to its detections: letterbox, network, suppression.

    Args:
        model: ONNX file from `tools.export_onnx`.
        confidence: Least confidence of a detection.
        iou: Overlap above which the weaker of two boxes of a class falls.
        max_detections: Most detections of one picture.
        class_agnostic: Let boxes of different classes suppress each other, too.
        threads: Of ONNX Runtime; by default one a core.
        repository: Holds `preprocess` and `nms`, whose pure modules do the work around it.

    Returns:
        A function from uint8 [H, W, 3], RGB, to `Rows`.
    """
    letterbox = pure_module(repository / "preprocess", "letterbox")
    nms = pure_module(repository / "nms", "nms")
    thresholds = nms.Thresholds(confidence, iou, max_detections, class_agnostic)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]

    def detect(picture: npt.NDArray[np.uint8]) -> Rows:
        image = np.empty((1, *shape), np.float32)
        content_rect = letterbox.letterbox(picture, image[0])
        output = session.run(["output"], {"input": image})[0][0]
        rows = nms.non_maximum_suppression(output, thresholds)
        height, width = picture.shape[:2]
        boxes = nms.to_frame(rows[:, :4], content_rect)[:, [1, 0, 3, 2]]
        pixels = boxes * np.array([width, height, width, height], np.float32)
        detections: Rows = np.concatenate([pixels, rows[:, 4:]], axis=1)
        return detections

    return detect


def pure_module(model: Path, name: str) -> ModuleType:
    """A module beside `model.py`; version folders are no packages, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location(f"served_{name}", model / "1" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look for the module of a class.
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module
