"""Where frames come from."""

from yolostream.sources.opening import open_sources
from yolostream.sources.pictures import Pictures
from yolostream.sources.source import Frame, Source
from yolostream.sources.video import Video

__all__ = ["Frame", "Pictures", "Source", "Video", "open_sources"]
