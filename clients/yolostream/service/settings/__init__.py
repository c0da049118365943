"""The content of `cameras.yaml`, with one module for each section."""

from yolostream.service.settings.cameras import CameraDefaults, CameraName, CameraSettings
from yolostream.service.settings.configuration import Configuration
from yolostream.service.settings.section import HIDDEN, Secret
from yolostream.service.settings.server import ServerSettings
from yolostream.service.settings.telemetry import LogSettings, TraceSettings
from yolostream.service.settings.web import WebSettings, WebTls

__all__ = [
    "HIDDEN",
    "CameraDefaults",
    "CameraName",
    "CameraSettings",
    "Configuration",
    "LogSettings",
    "Secret",
    "ServerSettings",
    "TraceSettings",
    "WebSettings",
    "WebTls",
]
