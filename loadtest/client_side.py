"""What a client does itself when it asks the network and not the ensemble."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from yolostream.image import Image

from loadtest.repository import MODELS
from tools.bare import pure_module
from tools.evaluation.variant import Thresholds

Tensor = npt.NDArray[np.float32]

# The server's own functions, so that the boxes are the same and only where they run differs.
_letterbox = pure_module(MODELS / "preprocess", "letterbox")
_nms = pure_module(MODELS / "nms", "nms")


@dataclass(frozen=True)
class PendingRows:
    """A network's answer on its way, and where the frame lies in the network's input."""

    rows: Future[Tensor]
    letterbox: Tensor
    """float32 [4]: left, top, width and height, in pixels."""

    def result(self) -> tuple[Tensor, Tensor]:
        """Wait for the rows, float32 [1, n, 6]."""
        return self.rows.result(), self.letterbox


def letterboxed(frame: Image, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Make the network's input.

    Args:
        frame: uint8 [H, W, 3], RGB.
        shape: Height and width of that input, in pixels.

    Returns:
        float32 [1, 3, height, width], RGB, 0..1; and float32 [4], where the frame lies in it.
    """
    tensor = np.empty((1, 3, *shape), np.float32)
    return tensor, _letterbox.letterbox(frame, tensor[0])


def sender(
    submit: Callable[[Tensor], Future[Tensor]], shape: tuple[int, int]
) -> Callable[[Image], PendingRows]:
    """Letterbox before sending; `submit` sends a tensor."""

    def send(frame: Image) -> PendingRows:
        tensor, content_rect = letterboxed(frame, shape)
        return PendingRows(submit(tensor), content_rect)

    return send


def suppressor(thresholds: Thresholds) -> Callable[[tuple[Tensor, Tensor]], Tensor]:
    """Turn what `PendingRows` gives into boxes.

    Returns:
        A function to float32 [n, 6]: y1, x1, y2, x2, normalized to the frame and clipped to 0..1,
        confidence, class id; best first.
    """
    kept = _nms.Thresholds(**asdict(thresholds))

    def suppress(answer: tuple[Tensor, Tensor]) -> Tensor:
        rows, content_rect = answer
        found = _nms.non_maximum_suppression(rows[0], kept)
        boxes: Tensor = np.hstack([_nms.to_frame(found[:, :4], content_rect), found[:, 4:]])
        return boxes

    return suppress
