"""One picture of a source, on its way through the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from yolostream.image import AnyImage


@dataclass(frozen=True, repr=False)
class Frame:
    """One decoded frame and its place in time."""

    image: AnyImage
    """uint8 [H, W, 3], RGB; in GPU memory where the GPU has decoded it."""
    index: int
    """0-based number of the frame in its source, counting skipped ones."""
    pts: int
    """Presentation time in units of the source's `time_base`."""
    time_base: Fraction
    """Seconds of one unit of `pts`."""
    name: str = ""
    """File name of a picture; empty for a video's frame."""

    @property
    def pts_seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)
