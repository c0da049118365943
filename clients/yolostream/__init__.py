"""Object detection on video streams, served by NVIDIA Triton."""

from yolostream._version import __version__
from yolostream.client.detector import Detector
from yolostream.client.pending import Pending
from yolostream.detections import Detections
from yolostream.errors import (
    DeadlineExceeded,
    ForkError,
    FrameError,
    ModelUnavailable,
    OutputError,
    Overloaded,
    ServerError,
    ServerStartError,
    ServerUnavailable,
    SourceError,
    WorkerError,
    YolostreamError,
)

__all__ = [
    "DeadlineExceeded",
    "Detections",
    "Detector",
    "ForkError",
    "FrameError",
    "ModelUnavailable",
    "OutputError",
    "Overloaded",
    "Pending",
    "ServerError",
    "ServerStartError",
    "ServerUnavailable",
    "SourceError",
    "WorkerError",
    "YolostreamError",
    "__version__",
]
