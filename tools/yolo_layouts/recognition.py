"""Recognizes the layout of a graph's boxes, by its outputs for noise and by the class names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

from tools.errors import OnnxError
from tools.served_onnx import INPUT, OUTPUT, ROW, inputs_of, sides_of
from tools.yolo_layouts.declared import SUPPRESSES_ITSELF
from tools.yolo_layouts.layout import (
    BOX,
    LAYOUTS,
    NOT_SERVED,
    PICTURES,
    PIXEL,
    Layout,
    Size,
    Values,
    are_corners,
    are_normalized,
    are_probabilities,
    box_counts,
    is_raw_map,
    usual_box_counts,
)
from tools.yolo_layouts.other_models import (
    hint_at_other_model,
    refuse_other_models,
    refuse_other_values,
)


@dataclass(frozen=True)
class Prediction:
    """The output of a graph with its boxes, and their layout.

    Attributes:
        output: Name of the tensor.
        rows: N, the number of boxes of one picture.
        layout: The layout; None if the output follows the contract.
        classes: Number of classes; 0 (unknown) if the output follows the contract.
        unit: Height and width of the unit of the boxes in pixels: 1x1, or the input's size.
    """

    output: str
    rows: int
    layout: Layout | None = None
    classes: int = 0
    unit: Size = PIXEL


def recognized(model: onnx.ModelProto, *, names: int) -> Prediction:
    """Run a graph on noise and recognize the layout of its boxes.

    Args:
        model: A graph with a fixed height and width.
        names: Number of class names; 0 if unknown.

    Raises:
        OnnxError: The graph does not run, or not exactly one layout fits.
    """
    size = sides_of(model)
    if size[0] % 32 or size[1] % 32:
        raise OnnxError(
            f"its input is {size[0]}x{size[1]} pixels (height x width): export it for multiples of "
            "32"
        )
    outputs = _run_on_noise(model, size)
    refuse_other_models(outputs, size)
    prediction = _contract(model, outputs, size) or _decoded(outputs, size, names)
    for name, values in outputs.items():
        if name != prediction.output and not is_raw_map(values.shape, size):
            raise OnnxError(
                f"its output '{name}' does not belong to a detector: take a detection model"
            )
    return prediction


def _run_on_noise(model: onnx.ModelProto, size: Size) -> dict[str, Values]:
    """Outputs for a batch of noise, by name."""
    options = onnxruntime.SessionOptions()
    # Errors are reported as exceptions too.
    options.log_severity_level = 4
    noise = np.random.default_rng(0).random((PICTURES, 3, *size), dtype=np.float32)
    (pictures,) = inputs_of(model.graph)
    names = [output.name for output in model.graph.output]
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return dict(zip(names, session.run(names, {pictures.name: noise}), strict=True))
    # ONNX Runtime has an exception class for each of its error codes.
    except Exception as error:
        line = str(error).splitlines()[0]
        raise OnnxError(f"it does not run on {PICTURES} pictures at once: {line}") from error


def _contract(model: onnx.ModelProto, outputs: dict[str, Values], size: Size) -> Prediction | None:
    """The output that follows the contract, by its shape and values; None without one.

    If it has another name, it must have the number of rows of an unsuppressed output. Fewer rows
    are the result of non-maximum suppression.
    """
    ends = [tensor.name for tensor in (*inputs_of(model.graph), *model.graph.output)]
    for name, values in outputs.items():
        if _follows_contract(values):
            rows = values.shape[1]
            if ends == [INPUT, OUTPUT] or rows in box_counts(size):
                return Prediction(name, rows, unit=_unit(values[..., :BOX], size))
            raise OnnxError(f"'{name}' has {rows} boxes per picture: {SUPPRESSES_ITSELF}")
    return None


def _follows_contract(values: Values) -> bool:
    if not _holds_rows(values) or values.shape[2] != ROW:
        return False
    boxes, confidence, class_id = np.split(values, [BOX, BOX + 1], axis=2)
    whole = bool(np.all(class_id == np.floor(class_id)))
    return whole and are_corners(boxes) and are_probabilities(confidence)


def _decoded(outputs: dict[str, Values], size: Size, names: int) -> Prediction:
    name, layout = _the_one_reading(outputs, size, names)
    if layout is NOT_SERVED:
        raise OnnxError(
            f"'{name}' is laid out as {layout.exporter} writes it, with objectness, which is not "
            "supported: use another YOLO"
        )
    rows = layout.rows(outputs[name])
    boxes = rows[..., :BOX]
    refuse_other_values(name, boxes, rows[..., BOX:], size)
    classes = layout.classes(outputs[name])
    return Prediction(name, rows.shape[1], layout, classes, _unit(boxes, size))


def _the_one_reading(outputs: dict[str, Values], size: Size, names: int) -> tuple[str, Layout]:
    """The only output and layout that match each other and the number of class names."""
    readings = [
        (name, layout)
        for name, values in outputs.items()
        for layout in (*LAYOUTS, NOT_SERVED)
        if _fits(layout, values, size)
    ]
    if not readings:
        shapes = ", ".join(f"'{name}' {list(values.shape)}" for name, values in outputs.items())
        one, three = usual_box_counts(size)
        raise OnnxError(
            f"a detector before non-maximum suppression has {one} or {three} boxes for "
            f"{size[0]}x{size[1]} pixels (height x width), or others with other strides, but "
            f"{PICTURES} pictures give {shapes}"
        )
    seen = " or ".join(
        f"{layout.classes(outputs[name])} classes in '{name}' as {layout.exporter} writes them"
        for name, layout in readings
    )
    fitting = [
        (name, layout) for name, layout in readings if names in (0, layout.classes(outputs[name]))
    ]
    if not fitting:
        more = max(layout.classes(outputs[name]) - names for name, layout in readings)
        hint = hint_at_other_model(names, more)
        raise OnnxError(f"{names} class names do not fit {seen}: give one for each class{hint}")
    if len(fitting) > 1:
        raise OnnxError(f"it may hold {seen}: give the class names, or export one output")
    (reading,) = fitting
    return reading


def _fits(layout: Layout, values: Values, size: Size) -> bool:
    return (
        _holds_rows(values)
        and layout.rows(values).shape[1] in layout.box_counts(size)
        and layout.classes(values) > 0
    )


def _holds_rows(values: Values) -> bool:
    """Whether values are float32 [b, ..., ...], with one entry per picture of the batch."""
    return values.dtype == np.float32 and values.ndim == 3 and len(values) == PICTURES


def _unit(boxes: Values, size: Size) -> Size:
    return size if are_normalized(boxes) else PIXEL
