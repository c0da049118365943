"""A decoded frame in DeepStream's format: NV12 with even sides."""

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
    """uint8 [height / 2, width / 2, 2]: Cb and Cr."""
    bt709: bool
    """Whether the stream is tagged as BT.709; DeepStream takes everything else for BT.601."""

    @property
    def size(self) -> Size:
        height, width = self.luma.shape
        return width, height

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Surface:
        """Make a surface from a frame that FFmpeg decoded; NVDEC decodes to the same bytes."""
        luma, *chroma = (_plane(plane) for plane in frame.reformat(format="yuv420p").planes)
        height, width = map(even, luma.shape)
        blue_red = np.stack(chroma, axis=-1)[: height // 2, : width // 2]
        return cls(luma[:height, :width], blue_red, frame.colorspace == Colorspace.ITU709)

    def stretched(self, width: int, height: int) -> Surface:
        """Scale to another size, in place of the legacy muxer, whose filter was never measured."""
        if (width, height) == self.size:
            return self
        luma = cv2.resize(self.luma, (width, height))
        chroma = cv2.resize(self.chroma, (width // 2, height // 2))
        return Surface(luma, chroma, self.bt709)


def as_video(image: Image) -> av.VideoFrame:
    """Convert a picture (uint8 [H, W, 3], RGB) to YUV 4:2:0 in BT.709."""
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )


def _plane(plane: av.video.plane.VideoPlane) -> Plane:
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
