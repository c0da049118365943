"""The layouts in which YOLO exporters write boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BOX = 4
"""Number of values of a box: center x and y, width, height, in pixels or 0..1 of the input."""
# Smallest and largest stride: of nearly all models, then of those with P6, P7 or P2, and of "tiny"
# models with two strides.
_STRIDES = ((8, 32), (8, 64), (8, 128), (4, 32), (4, 64), (4, 16), (8, 16), (16, 32), (16, 64))

_NORMALIZED = 2.0

PICTURES = 2
"""Number of pictures in the batch of noise that graphs are run on."""

Values = npt.NDArray[np.float32]
Size = tuple[int, int]
"""Height and width, in pixels."""
PIXEL: Size = (1, 1)
"""The unit of boxes in pixels."""


@dataclass(frozen=True)
class Layout:
    """The layout of an exporter's boxes: `BOX` values, maybe objectness, a probability per class.

    Attributes:
        exporter: Name of the exporter.
        boxes_per_cell: Number of boxes in a cell of each stride's grid.
        objectness: Whether a box has an objectness.
        columns: Whether a box is a column, [b, values, N], instead of a row, [b, N, values].
    """

    exporter: str
    boxes_per_cell: int
    objectness: bool
    columns: bool = False

    @property
    def before_classes(self) -> int:
        """Number of values of a box before its class probabilities."""
        return BOX + self.objectness

    def rows(self, values: Values) -> Values:
        """The values with one box per row, [b, N, values]."""
        return values.transpose(0, 2, 1) if self.columns else values

    def classes(self, values: Values) -> int:
        """The number of class probabilities of a box, if values have this layout."""
        values_per_box: int = self.rows(values).shape[2]
        return values_per_box - self.before_classes

    def box_counts(self, size: Size) -> set[int]:
        """The possible numbers of boxes of a picture."""
        return {cells * self.boxes_per_cell for cells in _cell_counts(size)}


LAYOUTS = (
    Layout("YOLOv5 or YOLOv7", boxes_per_cell=3, objectness=True),
    Layout("YOLOv8, v9 or 11", boxes_per_cell=1, objectness=False, columns=True),
    Layout("YOLOv8, v9 or 11, transposed", boxes_per_cell=1, objectness=False),
)
# Recognized, because it looks like a YOLOv8 with one more class. YOLOX needs BGR in 0..255.
NOT_SERVED = Layout("YOLOv6 or YOLOX", boxes_per_cell=1, objectness=True)


def are_normalized(boxes: Values) -> bool:
    """Whether boxes are in 0..1 of the picture. Boxes at its borders may exceed that a little."""
    # In pixels, at least one of many boxes is more than two pixels from the left or the top.
    return bool(0 < np.abs(boxes).max() <= _NORMALIZED)


def are_corners(boxes: Values) -> bool:
    """Whether boxes are x1, y1, x2, y2, not centers and sizes."""
    # With centers and sizes, this is false for small boxes on the right or at the bottom.
    return bool(np.all(boxes[..., :2] <= boxes[..., 2:]))


def are_probabilities(values: Values) -> bool:
    """Whether all are in 0..1."""
    return bool(np.all((values >= 0) & (values <= 1)))


def box_counts(size: Size) -> set[int]:
    """The possible numbers of boxes of a picture in all layouts."""
    return set().union(*(layout.box_counts(size) for layout in LAYOUTS))


def usual_box_counts(size: Size) -> list[int]:
    """Numbers of boxes of a picture with strides of 8, 16 and 32: with one and three per cell."""
    height, width = size
    cells = sum((height // stride) * (width // stride) for stride in _strides(*_STRIDES[0]))
    return [cells, 3 * cells]


def is_raw_map(shape: tuple[int, ...], size: Size) -> bool:
    """Whether [b, channels, y, x] or [b, anchors, y, x, values] has the size of a stride's grid."""
    grids = {(size[0] // stride, size[1] // stride) for stride in _strides(4, 128)}
    return len(shape) in (4, 5) and shape[2:4] in grids


def _strides(finest: int, coarsest: int) -> list[int]:
    return [2**n for n in range(finest.bit_length() - 1, coarsest.bit_length())]


def _cell_counts(size: Size) -> set[int]:
    """The total number of cells of all strides, for each set of strides that divides the size."""
    height, width = size
    return {
        sum((height // stride) * (width // stride) for stride in _strides(finest, coarsest))
        for finest, coarsest in _STRIDES
        if height % coarsest == width % coarsest == 0
    }
