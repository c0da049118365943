"""An output that writes only while this process holds the camera's lease."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.output import Output


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Permit:
    """Permission to write the results of a camera that other instances may run, too."""

    lease: int | None = None
    """Number of the camera's lease, which is written with each result; None without leases."""
    is_valid: Callable[[], bool] = _always
    """Whether the lease is still held; may be called from any thread."""


class Fenced:
    """Checks the permit before each frame. Frames without a valid permit are counted as lost.

    Args:
        output: writes the frames.
        permit: is checked.
    """

    def __init__(self, output: Output, permit: Permit) -> None:
        self._output = output
        self._permit = permit
        self._lost = 0

    @classmethod
    def of(cls, make: Callable[[], Output], permit: Permit) -> Fenced:
        """The same for an output that is made by this call.

        Raises:
            OutputError: it cannot be made.
        """
        return cls(make(), permit)

    @property
    def kind(self) -> str:
        """See `Output`."""
        return self._output.kind

    @property
    def draws(self) -> bool:
        """See `Output`."""
        return self._output.draws

    @property
    def lost(self) -> int:
        """See `Output`."""
        return self._lost + self._output.lost

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """See `Output`."""
        if self._permit.is_valid():
            self._output.write(frame, annotated, detections)
        else:
            self._lost += 1

    def close(self) -> None:
        """Close the output. What was written before stays complete."""
        self._output.close()
