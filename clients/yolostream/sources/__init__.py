"""Sources of frames: video files, pictures, cameras and network streams."""

from yolostream.sources.finding import check_files, find_sources
from yolostream.sources.pictures import Pictures
from yolostream.sources.presence import Presence
from yolostream.sources.realtime import Realtime
from yolostream.sources.source import EVERYTHING, Reading, Session, Source
from yolostream.sources.video import Video

__all__ = [
    "EVERYTHING",
    "Pictures",
    "Presence",
    "Reading",
    "Realtime",
    "Session",
    "Source",
    "Video",
    "check_files",
    "find_sources",
]
