"""Object detection on video streams, served by NVIDIA Triton."""

from yolostream._version import __version__
from yolostream.detections import Detections
from yolostream.detector import Detector
from yolostream.errors import (
    DeadlineExceeded,
    FrameError,
    ModelUnavailable,
    OutputError,
    Overloaded,
    ServerError,
    ServerStartError,
    ServerUnavailable,
    SourceError,
    YolostreamError,
)
from yolostream.pending import Pending

__all__ = [
    "DeadlineExceeded",
    "Detections",
    "Detector",
    "FrameError",
    "ModelUnavailable",
    "OutputError",
    "Overloaded",
    "Pending",
    "ServerError",
    "ServerStartError",
    "ServerUnavailable",
    "SourceError",
    "YolostreamError",
    "__version__",
]
