"""Reads an ONNX file's metadata and declared tensors, and rejects unsupported models by them.

Ultralytics' exporters write Python literals as metadata: `names` {0: 'person', ...}, `task`
'detect', `imgsz` [height, width], `end2end` and `args`, the options of the export.
"""

from __future__ import annotations

import ast
import json

import numpy as np
import onnx

from tools.errors import OnnxError
from tools.labels import names_by_id
from tools.served_onnx import NAMES, inputs_of, shape_of

# From the first opset with all operators that are appended, to the last that TensorRT 10.3 parses.
OPSETS = range(11, 21)
_SCALES, _SHIFTS = ("Div", "Mul"), ("Add", "Cast", "Identity", "Sub", "Transpose")
"""Operators that exporters put before a network to normalize its pictures."""
_NMS = ("NonMaxSuppression", "NMS")
SUPPRESSES_ITSELF = (
    "it suppresses overlapping boxes itself (end to end): export it without NMS (Ultralytics: "
    "nms=False, and for YOLOv10 and YOLO26 end2end=False, which newer versions call nms=None; "
    "YOLOv7: without --end2end)"
)
_MODELS = {
    "segment": "yolo11n-seg.pt",
    "pose": "yolo11n-pose.pt",
    "obb": "yolo11n-obb.pt",
    "classify": "yolo11n-cls.pt",
}


def description_of(model: onnx.ModelProto) -> str:
    """The inputs, outputs and opset, for messages."""
    inputs = ", ".join(map(_tensor, inputs_of(model.graph)))
    outputs = ", ".join(map(_tensor, model.graph.output))
    return f"input {inputs}; output {outputs}; opset {_opset(model)}"


def metadata_of(model: onnx.ModelProto) -> dict[str, str]:
    """Metadata by key."""
    return {entry.key: entry.value for entry in model.metadata_props}


def refuse_other_tasks(model: onnx.ModelProto) -> None:
    """Raise an error unless a model is a detector without non-maximum suppression.

    Raises:
        OnnxError: The model has another task or a suppression, or its opset is not supported.
    """
    opset = _opset(model)
    if opset not in OPSETS:
        raise OnnxError(
            f"opset {opset} is not among {OPSETS[0]} to {OPSETS[-1]}: export it with opset 17"
        )
    task = metadata_of(model).get("task", "detect")
    if task != "detect":
        raise OnnxError(
            f"its task is '{task}', not 'detect': train and export a detection model, such as "
            f"yolo11n.pt instead of {_MODELS.get(task, 'this one')}"
        )
    options = _literal(model, "args")
    ends = _literal(model, "end2end") is True or (
        isinstance(options, dict) and options.get("nms") is True
    )
    suppressing = any(name in node.op_type for node in model.graph.node for name in _NMS)
    if ends or suppressing:
        raise OnnxError(SUPPRESSES_ITSELF)


def refuse_unnormalized(model: onnx.ModelProto) -> None:
    """Raise an error if a graph needs pictures in 0..255, which it divides at its beginning.

    Raises:
        OnnxError: The graph scales its pictures down.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    constants |= {
        node.output[0]: node.attribute[0].t
        for node in model.graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    pictures = {_pictures(model.graph).name}
    for node in model.graph.node:
        if pictures.isdisjoint(node.input) or node.op_type not in (*_SCALES, *_SHIFTS):
            continue
        pictures.update(node.output)
        factor = next((constants[name] for name in node.input if name in constants), None)
        if node.op_type in _SCALES and factor is not None:
            # A division by 255, or by standard deviations of values in 0..255.
            values = np.abs(onnx.numpy_helper.to_array(factor))
            if (values < 0.05 if node.op_type == "Mul" else values > 20).all():
                raise OnnxError(
                    "it takes pictures of levels 0..255, which it scales itself: export it without "
                    "the scaling, for pictures in 0..1"
                )


def names_in_metadata(model: onnx.ModelProto) -> tuple[str, ...]:
    """Class names by class id in the metadata; empty without any.

    Raises:
        OnnxError: They are neither a list nor a dictionary by class id.
    """
    text = metadata_of(model).get(NAMES)
    if text is None:
        return ()
    try:
        names = json.loads(text)
    except ValueError:
        names = _literal(model, NAMES)
    try:
        return names_by_id(names)
    except ValueError as error:
        raise OnnxError(
            f"its class names are {text!r}, neither a list nor a dictionary by class id from 0: "
            "give them with --labels"
        ) from error


def with_fixed_size(model: onnx.ModelProto, size: tuple[int, int] | None) -> onnx.ModelProto:
    """Copy a graph, with a fixed height and width of its input, and a dynamic batch.

    Args:
        model: The graph.
        size: Height and width in pixels, if they are dynamic in the graph; None uses the metadata.

    Raises:
        OnnxError: The graph does not have exactly one input of float32 [b, 3, H, W]; its batch is
            fixed; its size is dynamic and unknown; or its size is not `size`.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    pictures = _pictures(copy.graph)
    batch, _, *sides = pictures.type.tensor_type.shape.dim
    for side, declared, asked, stated in zip(
        sides, shape_of(pictures)[2:], size or (None, None), _stated_size(model), strict=True
    ):
        pixels = declared if isinstance(declared, int) else asked or stated
        if pixels is None:
            raise OnnxError(
                f"its {declared} is dynamic and metadata 'imgsz' is missing: give --size "
                "HEIGHTxWIDTH, such as --size 640x640"
            )
        if asked not in (None, pixels):
            raise OnnxError(
                f"its input has {pixels} pixels where --size asks for {asked} "
                f"(--size is height x width, here {_by(size)}): omit --size, or export it again"
            )
        side.dim_value = pixels
    batch.dim_param = "batch"
    # These sizes were inferred with a dynamic height and width.
    del copy.graph.value_info[:]
    return copy


def _pictures(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    inputs = inputs_of(graph)
    if len(inputs) != 1:
        raise OnnxError(
            f"it has {len(inputs)} inputs instead of one: export it so that it takes the pictures "
            "alone (PaddleDetection: exclude_post_process=True leaves scale_factor out)"
        )
    (pictures,) = inputs
    if pictures.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise OnnxError(
            f"its input is {_tensor(pictures)}, not float32: export it without half, int8"
        )
    match shape_of(pictures):
        case [int(batch), *_]:
            raise OnnxError(f"its batch is fixed to {batch}: export it with a dynamic batch")
        case [_, 3, _, _]:
            return pictures
        case shape:
            raise OnnxError(f"its input is {shape}, not [b, 3, height, width]: export it as NCHW")


def _by(size: tuple[int, int] | None) -> str:
    return "x".join(map(str, size or ()))


def _stated_size(model: onnx.ModelProto) -> tuple[int, int] | tuple[None, None]:
    match _literal(model, "imgsz"):
        case [int(height), int(width)]:
            return height, width
    return None, None


def _literal(model: onnx.ModelProto, key: str) -> object:
    """A Python literal in the metadata; None without one."""
    try:
        return ast.literal_eval(metadata_of(model).get(key, "None"))
    except (ValueError, SyntaxError, TypeError):
        return None


def _opset(model: onnx.ModelProto) -> int:
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def _tensor(tensor: onnx.ValueInfoProto) -> str:
    kind = onnx.TensorProto.DataType.Name(tensor.type.tensor_type.elem_type).lower()
    shape = ", ".join(map(str, shape_of(tensor)))
    return f"'{tensor.name}' {kind} [{shape}]"
