"""Conversion to float16 with the server's own module, which the server also uses on a GPU."""

from __future__ import annotations

import importlib.util

import onnx

from tools.errors import OnnxError
from tools.model_folders.files import REPOSITORY

# Loaded by its path, because a model's folder is not a package.
_SPEC = importlib.util.spec_from_file_location("half", REPOSITORY / "yolov7_fp16" / "1" / "half.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_half = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_half)


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert everything up to the last convolutions to float16; see the server's `half.py`.

    Raises:
        OnnxError: The graph has no convolution, or cannot be split after the last ones.
    """
    try:
        graph: onnx.ModelProto = _half.to_fp16(model)
    except _half.Fp16Error as error:
        raise OnnxError(str(error)) from error
    return graph
