"""Detects without a server: ONNX Runtime with the pure modules of the server's steps."""

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
"""float32 [n, 6]: x1, y1, x2, y2 in pixels of the picture, score 0..1 (descending), class id."""

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
    """Make a function that detects objects in a picture: letterbox, network, suppression.

    Args:
        model: ONNX file from `tools.export_onnx`.
        confidence: Confidences of detections are above this, 0..1.
        iou: IoU above which the box with the lower score is suppressed, 0..1.
        max_detections: Largest number of detections per picture.
        class_agnostic: Whether boxes of different classes also suppress each other.
        threads: Threads of ONNX Runtime; by default one per core.
        repository: Model repository with the steps `preprocess` and `nms`.

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
    """Load a module beside `model.py` by its path, because version folders are not packages."""
    spec = importlib.util.spec_from_file_location(f"served_{name}", model / "1" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look up the module of a class there.
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module
