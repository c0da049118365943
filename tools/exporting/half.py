"""The server's own way to float16, which it goes by itself on a GPU with a float32 model."""

from __future__ import annotations

import importlib.util

import onnx

from tools.errors import OnnxError
from tools.model_folders.files import REPOSITORY

# By its path: a model's folder holds all that it needs, and is no package.
_SPEC = importlib.util.spec_from_file_location("half", REPOSITORY / "yolov7_fp16" / "1" / "half.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_half = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_half)


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put all that a convolution depends on into float16; see the server's `half.py`.

    Raises:
        OnnxError: There is no convolution, or the graph cannot be cut behind the last ones.
    """
    try:
        graph: onnx.ModelProto = _half.to_fp16(model)
    except _half.Fp16Error as error:
        raise OnnxError(str(error)) from error
    return graph
