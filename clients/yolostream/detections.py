"""The detections in one frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, repr=False)
class Detections:
    """The objects in one frame, highest score first. Row i of each array belongs to object i."""

    boxes: npt.NDArray[np.float32]
    """float32 [n, 4]: x1, y1, x2, y2 in pixels of the original frame, clipped to it."""
    scores: npt.NDArray[np.float32]
    """float32 [n]: 0..1."""
    class_ids: npt.NDArray[np.int64]
    """int64 [n]: 0-based line of the model's labels.txt."""
    labels: tuple[str, ...]
    """Names of all classes of the model, by class id."""
    track_ids: npt.NDArray[np.int64] | None = None
    """int64 [n]: 1-based, -1 for an object that is not tracked (yet); None before tracking."""

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: npt.NDArray[np.bool_ | np.intp] | slice) -> Detections:
        """The detections of some rows, chosen by a mask, indices or a slice."""
        return replace(
            self,
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            class_ids=self.class_ids[rows],
            track_ids=None if self.track_ids is None else self.track_ids[rows],
        )

    def __repr__(self) -> str:
        return f"Detections({len(self)}: {', '.join(self.names)})"

    @property
    def names(self) -> list[str]:
        """The class name of each object; `class N` if the model's label file is too short."""
        return [
            self.labels[class_id] if class_id < len(self.labels) else f"class {class_id}"
            for class_id in self.class_ids.tolist()
        ]
