"""Object detection on video streams, served by NVIDIA Triton."""

from yolostream.detections import Detections
from yolostream.detector import Detector, Pending
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

__version__ = "0.1.0"

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
