"""Where frames come from."""

from yolostream.sources.opening import open_sources
from yolostream.sources.pictures import Pictures
from yolostream.sources.source import Source
from yolostream.sources.video import Video

__all__ = ["Pictures", "Source", "Video", "open_sources"]
