"""Runs a model once before it is installed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from tools.errors import OnnxError
from tools.sanity import sanity_warnings
from tools.served_onnx import INPUT, OUTPUT, ROW, ServedOnnx
from tools.yolo_layouts.layout import BOX, are_normalized

Floats = npt.NDArray[np.float32]


def run_once(model: bytes, served: ServedOnnx, *, class_count: int) -> list[str]:
    """Run a model on noise on the CPU: on one picture, and on a batch of two.

    Args:
        model: Content of the ONNX file.
        served: Description of the model.
        class_count: Number of class names. Class ids have to be below it.

    Returns:
        Warnings, one sentence each.

    Raises:
        OnnxError: The model does not run, or its output differs from its description.
    """
    outputs = _outputs(model, served)
    for batch, output in zip((1, 2), outputs, strict=True):
        expected = (batch, served.rows, ROW)
        if output.shape != expected:
            raise OnnxError(
                f"the output of {served.path} has the shape {output.shape} instead of {expected}: "
                "export it again"
            )
        if not np.isfinite(output).all():
            raise OnnxError(f"the output of {served.path} is not finite: export it again")
        _check_classes(output[..., -1], served, class_count)
        if are_normalized(output[..., :BOX]):
            raise OnnxError(
                f"the boxes of {served.path} are in 0..1, not in pixels of the {served.height}x"
                f"{served.width} input (height x width): tools.export_onnx scales them"
            )
    return sanity_warnings(onnx.load_from_string(model), outputs[-1])


def _outputs(model: bytes, served: ServedOnnx) -> list[Floats]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # Errors are reported as exceptions too.
    noise = np.random.default_rng(0)
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return [
            session.run(
                [OUTPUT],
                {INPUT: noise.random((batch, 3, served.height, served.width), np.float32)},
            )[0]
            for batch in (1, 2)
        ]
    # ONNX Runtime has an exception class for each of its error codes.
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise OnnxError(
            f"{served.path} cannot run on one picture and on a batch of two: {reason}"
        ) from error


def _check_classes(ids: Floats, served: ServedOnnx, class_count: int) -> None:
    if (ids != ids.round()).any() or ids.min() < 0:
        raise OnnxError(
            f"the last column of '{OUTPUT}' of {served.path} has values from {ids.min():g} to "
            f"{ids.max():g} instead of class ids: export it again"
        )
    if ids.max() >= class_count:
        raise OnnxError(
            f"{served.path} has a class {ids.max():g}, but there are only {class_count} names: "
            "give --labels with one for each class"
        )
