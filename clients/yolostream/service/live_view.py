"""What people look at: annotated video, single pictures, and what was found, while they look."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import cv2

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.jsonl import record_of
from yolostream.service.fragmented_mp4 import FragmentedMp4
from yolostream.service.messages import Found, FromWorker, Picture, Watch

JPEG_QUALITY = 85


class LiveView:
    """An output that costs nothing while nobody looks; see `Output`.

    Args:
        camera: its name.
        frame_rate: that the camera tells, in frames per second.
        send: takes what is made for those who look.
        lease: number of the lease of the camera; None where there is none.
    """

    kind = "live_view"
    lost = 0

    def __init__(
        self,
        camera: str,
        *,
        frame_rate: Fraction,
        send: Callable[[FromWorker], None],
        lease: int | None = None,
    ) -> None:
        self._camera = camera
        self._frame_rate = frame_rate
        self._send = send
        self._lease = lease
        self._wanted = Watch(camera)
        self._video: FragmentedMp4 | None = None
        # Who looks again after a while needs a new beginning.
        self._is_over = False

    @property
    def draws(self) -> bool:
        """See `Output`."""
        return self._wanted.video or self._wanted.pictures

    def want(self, wanted: Watch) -> None:
        """Somebody begins to look, or nobody does any more; from any thread."""
        self._wanted = wanted
        if not wanted.video:
            self._is_over = True

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Make what is wanted of one frame; see `Output`."""
        if self._wanted.detections:
            record = record_of(frame, detections, source=self._camera, lease=self._lease)
            self._send(Found(self._camera, record))
        # A frame that was on its way when somebody began to look was not drawn on.
        is_whole = annotated.shape[:2] == frame.size
        if self._wanted.pictures and is_whole:
            self._send(Picture(self._camera, _jpeg(annotated)))
        if self._is_over:
            self._is_over = False
            self._end_video()
        if self._wanted.video and is_whole:
            self._add_to_video(frame, annotated)

    def close(self) -> None:
        """See `Output`."""
        self._end_video()

    def _add_to_video(self, frame: Frame, annotated: Image) -> None:
        if self._video is None:
            self._video = FragmentedMp4(self._camera, self._frame_rate, self._send)
        self._video.write(annotated, frame.pts_seconds)

    def _end_video(self) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None


def _jpeg(image: Image) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
