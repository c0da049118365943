"""Object detection on video streams, served by NVIDIA Triton."""

import importlib
import typing

from yolostream._version import __version__

if typing.TYPE_CHECKING:
    from yolostream.client.access import Tls
    from yolostream.client.detector import Detector
    from yolostream.client.pending import Pending
    from yolostream.detections import Detections
    from yolostream.errors import (
        AccessDenied,
        DeadlineExceeded,
        ForkError,
        FrameError,
        ModelUnavailable,
        OutputError,
        Overloaded,
        PackageMissing,
        ServerError,
        ServerStartError,
        ServerUnavailable,
        SourceDenied,
        SourceError,
        SourceUnsupported,
        WorkerError,
        YolostreamError,
    )

__all__ = [
    "AccessDenied",
    "DeadlineExceeded",
    "Detections",
    "Detector",
    "ForkError",
    "FrameError",
    "ModelUnavailable",
    "OutputError",
    "Overloaded",
    "PackageMissing",
    "Pending",
    "ServerError",
    "ServerStartError",
    "ServerUnavailable",
    "SourceDenied",
    "SourceError",
    "SourceUnsupported",
    "Tls",
    "WorkerError",
    "YolostreamError",
    "__version__",
]

_HOMES = {
    "Detector": "client.detector",
    "Pending": "client.pending",
    "Detections": "detections",
    "Tls": "client.access",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, because gRPC and NumPy take 0.3 s to import.

    A command has to handle Ctrl-C before these imports.
    """
    if name not in __all__:
        raise AttributeError(f"module 'yolostream' has no attribute '{name}'")
    return getattr(importlib.import_module(f"yolostream.{_HOMES.get(name, 'errors')}"), name)
