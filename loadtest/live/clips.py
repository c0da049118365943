"""What cameras of the load tests show."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from loadtest.repository import VIDEOS

CLIPS = (VIDEOS / "mb1_1.mp4", VIDEOS / "mb2_2.mp4")
"""1280x720 at 30 frames/s."""


def of(cameras: int) -> list[Path]:
    """So many of the demo videos; a file may be there several times."""
    return [CLIPS[number % len(CLIPS)] for number in range(cameras)]


def slower(source: Path, target: Path, *, rate: int) -> Path:
    """The same pictures at another rate, without encoding them again."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as made:
        stream = clip.streams.video[0]
        assert stream.average_rate is not None  # of any MP4
        assert stream.time_base is not None
        copied = made.add_stream_from_template(stream)
        factor = Fraction(stream.average_rate) / rate
        for packet in clip.demux(stream):
            if packet.size:
                assert packet.pts is not None
                assert packet.dts is not None
                packet.pts, packet.dts = round(packet.pts * factor), round(packet.dts * factor)
                packet.duration = round((packet.duration or 0) * factor)
                packet.stream = copied
                made.mux(packet)
    return target
