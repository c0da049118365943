"""Recognizes models that are not detectors or not supported, by their outputs."""

from __future__ import annotations

import numpy as np

from tools.errors import OnnxError
from tools.served_onnx import ROW
from tools.yolo_layouts.layout import (
    BOX,
    PICTURES,
    Size,
    Values,
    are_corners,
    are_normalized,
    are_probabilities,
    box_counts,
)

_QUERIES = (100, 300, 900)
"""Numbers of boxes of a picture in transformer detectors. They do not depend on its size."""


def refuse_other_models(outputs: dict[str, Values], size: Size) -> None:
    """Raise an error if a model is not a detector, or its boxes are not supported.

    Args:
        outputs: Outputs of the graph for a batch, by name.
        size: Height and width of its input, in pixels.

    Raises:
        OnnxError: The model has another task, or its boxes are not supported.
    """
    for name, values in outputs.items():
        if values.ndim == 2 and len(outputs) == 1 and len(values) == PICTURES:
            raise OnnxError(
                f"its output '{name}' has {values.shape[1]} values per picture, so it is a "
                "classification model: take a detection model"
            )
        if values.ndim == 4 and values.shape[2:] == size:
            raise OnnxError(
                f"its output '{name}' has a value for each pixel, so it is a model of semantic "
                "segmentation, or of depth: take a detection model"
            )
    if (masks := _masks(outputs, size)) is not None:
        raise OnnxError(
            f"its output '{masks}' has masks, so it is a segmentation model: take the detection "
            "model, such as yolov5s.pt instead of yolov5s-seg.pt"
        )
    _refuse_other_boxes(outputs, size)


def hint_at_other_model(names: int, more: int) -> str:
    """A sentence on what further values of a box may be; empty if unknown.

    Args:
        names: Number of class names.
        more: Number of values of a box beyond its classes.
    """
    match more:
        case 1:
            what = "further value is the angle of an oriented-box (OBB) model"
        case 32:
            what = "further values are those of a segmentation model"
        case _ if more > 0 and (more % 3 == 0 or more % 2 == 0):
            what = "further values may be the keypoints of a pose model"
        case _:
            return ""
    return f". If {names} is right, the {more} {what}: take the detection model"


def refuse_other_values(name: str, boxes: Values, probabilities: Values, size: Size) -> None:
    """Raise an error unless values are boxes with probabilities.

    Args:
        name: Name of the output.
        boxes: Float [b, N, 4]: expected to be centers and sizes.
        probabilities: Float [b, N, values]: expected to be in 0..1.
        size: Height and width of the input, in pixels.

    Raises:
        OnnxError: The values are something else.
    """
    if not are_probabilities(probabilities):
        raise OnnxError(
            f"what should be probabilities in '{name}' is from {probabilities.min():.4g} to "
            f"{probabilities.max():.4g}, not within 0..1, as in a pose model with its keypoints, "
            "an oriented-box (OBB) model with its angles, scores before the sigmoid, or a model "
            "whose last nodes are quantized: export a detection model with decoded boxes"
        )
    if are_corners(boxes):
        raise OnnxError(f"the boxes in '{name}' are corners: export centers and sizes")
    reach = boxes[..., :2].max(axis=(0, 1))
    if not are_normalized(boxes) and (reach < np.array(size[::-1]) / 2).any():
        raise OnnxError(
            f"the centers in '{name}' end at {reach[0]:.4g}, {reach[1]:.4g}, neither in 0..1 nor "
            f"in pixels of a picture of {size[0]}x{size[1]} (height x width): export decoded boxes"
        )


def _masks(outputs: dict[str, Values], size: Size) -> str | None:
    """Name of the output with masks, which have a quarter of the input's size; None without."""
    maps = {name: values.shape[2:4] for name, values in outputs.items() if values.ndim in (4, 5)}
    quarter, eighth = ((size[0] // part, size[1] // part) for part in (4, 8))
    if eighth in maps.values():
        return None
    return next((name for name, sides in maps.items() if sides == quarter), None)


def _refuse_other_boxes(outputs: dict[str, Values], size: Size) -> None:
    shapes = {name: values.shape[1:] for name, values in outputs.items() if values.ndim == 3}
    boxes = [name for name, (rows, *row) in shapes.items() if row == [BOX]]
    others = [name for name in shapes if name not in boxes]
    if boxes and others and shapes[boxes[0]][0] == shapes[others[0]][0]:
        raise OnnxError(
            f"it has boxes in '{boxes[0]}' and their scores in '{others[0]}', as YOLO-NAS, "
            "DAMO-YOLO, RT-DETR and old exports of YOLOv3 write them: export a YOLO whose boxes "
            "and scores are one output"
        )
    for name, (rows, values) in shapes.items():
        if rows not in _QUERIES or rows in box_counts(size) or values <= BOX:
            continue
        # Rows of six values with corners are the result of non-maximum suppression.
        if values != ROW or not are_corners(outputs[name][..., :BOX]):
            raise OnnxError(
                f"'{name}' has {rows} boxes of {values} values, whatever the size of the picture, "
                "as RT-DETR and other transformers write them, which is not supported: use a YOLO"
            )
