"""The output for viewers: annotated video, single pictures and detections."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.jsonl import record_of
from yolostream.service.fragmented_mp4 import FragmentedMp4
from yolostream.service.jpeg import jpeg_of
from yolostream.service.messages import Found, FromWorker, Picture, Watch


class LiveView:
    """An output that makes only what viewers want; see `Output`.

    Args:
        camera: name of the camera.
        frame_rate: frames per second that the camera declares.
        send: called with what is made.
        lease: number of the camera's lease; None if it has none.
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
        # Set when the last viewer has left: a later viewer needs a new video, with a header.
        self._is_over = False

    @property
    def draws(self) -> bool:
        """See `Output`."""
        return self._wanted.video or self._wanted.pictures

    def want(self, wanted: Watch) -> None:
        """Change what is made. It may be called from any thread."""
        self._wanted = wanted
        if not wanted.video:
            self._is_over = True

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Make what viewers want of one frame; see `Output`."""
        if self._wanted.detections:
            record = record_of(frame, detections, source=self._camera, lease=self._lease)
            self._send(Found(self._camera, record))
        # A frame that was read before the first viewer joined may have been downscaled.
        is_whole = annotated.shape[:2] == frame.size
        if self._wanted.pictures and is_whole:
            self._send(Picture(self._camera, jpeg_of(annotated)))
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
