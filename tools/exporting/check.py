"""Checks whether two implementations of a network compute the same detections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from tools.errors import ExportError
from tools.served_onnx import INPUT, OUTPUT

Floats = npt.NDArray[np.float32]
Detect = Callable[[Floats], Floats]
"""From pictures, float32 [b, 3, H, W] RGB 0..1, to rows, float32 [b, N, 6], see `served_onnx`."""

_BATCH = 2


@dataclass(frozen=True)
class Tolerance:
    """The largest differences between two results that count as equal.

    Attributes:
        box_max: Largest difference of a coordinate, in pixels.
        box_mean: Mean difference of the coordinates, in pixels.
        confidence: Largest difference of a confidence.
        classes: Part of the rows, 0..1, whose class may differ, because two classes may have nearly
            the same probability.
    """

    box_max: float
    box_mean: float
    confidence: float
    classes: float


# Several times the measured rounding errors of float32. A wrong graph differs by whole pixels.
ROUNDING = Tolerance(box_max=0.05, box_mean=0.002, confidence=5e-5, classes=1e-4)
# float16 has 11 significant bits. Measured errors with random weights, which increase rounding
# errors, are far below these.
ROUNDING_FLOAT16 = Tolerance(box_max=8.0, box_mean=0.25, confidence=0.02, classes=0.01)


def fixed_pictures(height: int, width: int) -> Floats:
    """Reproducible noise: float32 [2, 3, height, width], 0..1."""
    noise = np.random.default_rng(0)
    return noise.random((_BATCH, 3, height, width), dtype=np.float32)


def runner(model: onnx.ModelProto, *, threads: int = 2) -> Detect:
    """A function that runs a graph in ONNX Runtime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run(pictures: Floats) -> Floats:
        output: Floats = session.run([OUTPUT], {INPUT: pictures})[0]
        return output

    return run


def compare(actual: Floats, expected: Floats, tolerance: Tolerance, *, what: str) -> str:
    """Measure the differences between two results.

    Args:
        actual: Rows, float32 [b, N, 6].
        expected: Rows of the same pictures, float32 [b, N, 6].
        tolerance: The allowed differences.
        what: Names of both results, for the message.

    Returns:
        A sentence with the measured differences.

    Raises:
        ExportError: The differences exceed the tolerance.
    """
    if actual.shape != expected.shape:
        raise ExportError(f"{what} differ in shape: {actual.shape} and {expected.shape}")
    box = np.abs(actual[..., :4] - expected[..., :4])
    confidence = np.abs(actual[..., 4] - expected[..., 4]).max()
    changed = np.mean(actual[..., 5] != expected[..., 5])
    sentence = (
        f"{what} differ by {box.max():.5f} px at most and {box.mean():.6f} px on average, in "
        f"confidence by {confidence:.1e}, in class in {changed:.3%} of the rows"
    )
    # Written with `not`, so that NaN counts as too large.
    if not (
        box.max() <= tolerance.box_max
        and box.mean() <= tolerance.box_mean
        and confidence <= tolerance.confidence
        and changed <= tolerance.classes
    ):
        raise ExportError(f"{sentence}; nothing was written")
    return sentence


def compare_alone(run: Detect, pictures: Floats, tolerance: Tolerance) -> str:
    """Compare the results of a batch with those of each picture alone; see `compare`."""
    alone = np.concatenate([run(pictures[i : i + 1]) for i in range(len(pictures))])
    return compare(run(pictures), alone, tolerance, what="Rows of a batch and the picture alone")
