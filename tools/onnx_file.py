"""ONNX files as people have them, read as one piece and in order."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx.external_data_helper import (
    ExternalDataInfo,
    load_external_data_for_model,
    uses_external_data,
)

from tools.errors import OnnxError
from tools.file_formats import is_checkpoint, refuse_other_formats
from tools.onnx_graph import sort_nodes

_NEWEST_IR = 9
"""Version of the file format that came with opset 20, the newest that is served."""


def load_onnx(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file.

    Returns:
        The model as one piece, with weights that lie in files of their own, and with its nodes in
        the order that ONNX wants. It computes what the file does.

    Raises:
        OnnxError: There is no such file, it is none, or a file of its weights is missing.
    """
    refuse_other_formats(path, OnnxError)
    if is_checkpoint(path):
        raise OnnxError(
            f"{path} is a checkpoint of PyTorch: 'python -m tools.export_onnx best.pt best.onnx' "
            "makes an ONNX file of one whose name ends with .pt"
        )
    try:
        model = onnx.load(path, load_external_data=False)
        # Newer exporters write a newer version of the format, and nothing of it that these need.
        model.ir_version = min(model.ir_version, _NEWEST_IR)
        _bring_in_weights(model, path)
        sort_nodes(model.graph)
        onnx.checker.check_model(model)
    except OnnxError:
        raise
    # protobuf, the sorting and the checker each raise their own.
    except Exception as error:
        raise OnnxError(f"{path} is no ONNX model, or not a whole one: {_line(error)}") from error
    return model


def content_of(path: Path) -> bytes:
    """What is to be served of an ONNX file, which `load_onnx` reads: the file itself, if it can be.

    Raises:
        OnnxError: See `load_onnx`.
    """
    model, content = load_onnx(path), path.read_bytes()
    return content if onnx.load_from_string(content) == model else model.SerializeToString()


def _bring_in_weights(model: onnx.ModelProto, path: Path) -> None:
    """Read weights that lie in files beside the model's, wherever we were started."""
    outside = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
    files = {ExternalDataInfo(tensor).location for tensor in outside}
    for name in sorted(files):
        if not (path.parent / name).is_file():
            raise OnnxError(
                f"{path} has its weights in a second file '{name}', which is not in the same "
                "folder: put it there"
            )
    load_external_data_for_model(model, str(path.parent))


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
