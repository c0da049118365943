"""Reads ONNX files, with external weights and with nodes in any order."""

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
"""Version of the file format of opset 20, the newest opset that is supported."""


def load_onnx(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file.

    Returns:
        The model, with external weights included, and with its nodes in topological order as ONNX
        requires it.

    Raises:
        OnnxError: The file does not exist or is not an ONNX model, or a file with external weights
            is missing.
    """
    refuse_other_formats(path, OnnxError)
    if is_checkpoint(path):
        raise OnnxError(
            f"{path} is a checkpoint of PyTorch: rename it to .pt, and export it with "
            "'python -m tools.export_onnx best.pt best.onnx'"
        )
    try:
        model = onnx.load(path, load_external_data=False)
        # Newer exporters write a newer version of the format, but use no new features of it.
        model.ir_version = min(model.ir_version, _NEWEST_IR)
        _bring_in_weights(model, path)
        sort_nodes(model.graph)
        onnx.checker.check_model(model)
    except OnnxError:
        raise
    # protobuf, the sorting and the checker each raise errors of their own classes.
    except Exception as error:
        raise OnnxError(
            f"{path} is not an ONNX model, or is damaged: {_line(error)}; export it again"
        ) from error
    return model


def content_of(path: Path) -> bytes:
    """The bytes to install for an ONNX file: the file as it is, or as `load_onnx` changes it.

    Raises:
        OnnxError: See `load_onnx`.
    """
    model, content = load_onnx(path), path.read_bytes()
    return content if onnx.load_from_string(content) == model else model.SerializeToString()


def _bring_in_weights(model: onnx.ModelProto, path: Path) -> None:
    """Read the external weights, from files in the model's folder."""
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
