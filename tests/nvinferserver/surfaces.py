"""A decoded frame as DeepStream keeps it: NV12, of even sides."""

from __future__ import annotations

from dataclasses import dataclass

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace
from yolostream.doctor.deepstream.letterbox import Size, even
from yolostream.image import Image

Plane = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Surface:
    """A frame in NV12, limited range."""

    luma: Plane
    """uint8 [height, width]."""
    chroma: Plane
    """uint8 [height / 2, width / 2, 2]: blue and red difference."""
    bt709: bool
    """Whether the stream says BT.709; DeepStream takes everything else for BT.601."""

    @property
    def size(self) -> Size:
        height, width = self.luma.shape
        return width, height

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Surface:
        """The planes of a frame that FFmpeg decoded, which NVDEC decodes to the same bytes."""
        luma, *chroma = (_plane(plane) for plane in frame.reformat(format="yuv420p").planes)
        height, width = map(even, luma.shape)
        blue_red = np.stack(chroma, axis=-1)[: height // 2, : width // 2]
        return cls(luma[:height, :width], blue_red, frame.colorspace == Colorspace.ITU709)

    def stretched(self, width: int, height: int) -> Surface:
        """Of another size, if it is one: by the legacy muxer, whose filter nobody has measured."""
        if (width, height) == self.size:
            return self
        luma = cv2.resize(self.luma, (width, height))
        chroma = cv2.resize(self.chroma, (width // 2, height // 2))
        return Surface(luma, chroma, self.bt709)


def as_video(image: Image) -> av.VideoFrame:
    """A picture as a video of BT.709 has it: in YUV, with a quarter of its colors."""
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )


def _plane(plane: av.video.plane.VideoPlane) -> Plane:
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
