"""The network that is served: a file that may have been made for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from tools.digest import sha256_of
from tools.onnx_file import load_onnx

COUNTED = "candidates"
"""Metadata key: JSON list, of each frame that a network was made with."""
USUAL_CANDIDATES = 110
"""Rows of a frame above the threshold, as a busy street has: about 65 objects after `nms`. Random
weights are set to give so many on average, and `nms` is measured with so many where the network was
given and nobody counted."""


@dataclass(frozen=True)
class Network:
    """The network that is served.

    Attributes:
        path: ONNX file.
        candidates: Rows above the threshold of each frame that it was made with; none if it is
            somebody else's.
    """

    path: Path
    candidates: tuple[int, ...] = ()

    @property
    def usual_candidates(self) -> int:
        """Rows of a frame that `nms` has to work on."""
        return round(mean(self.candidates or [USUAL_CANDIDATES]))

    def facts(self) -> dict[str, str]:
        """What a file of figures says of it."""
        words = f"network {self.path.name} as given"
        if self.candidates:
            words = (
                "YOLOv7 at 640, float16, random weights with "
                f"{min(self.candidates)} to {max(self.candidates)} boxes a frame before suppression"
            )
        return {"sha256": sha256_of(self.path), "words": words}


def read(path: Path) -> Network:
    """The network in a file, and what the file says of it.

    Raises:
        OnnxError: There is no such file, or it is none.
    """
    properties = {entry.key: entry.value for entry in load_onnx(path).metadata_props}
    return Network(path, tuple(json.loads(properties.get(COUNTED, "[]"))))
