"""Videos for the benchmarks: the demo videos, slower, longer, or in 1080p as a camera sends it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
from av.video.frame import PictureType

from loadtest.repository import VIDEOS

CLIPS = (VIDEOS / "mb1_1.mp4", VIDEOS / "mb2_2.mp4")
"""1280x720 at 30 frames/s."""
CAMERA_FPS = 30
"""Frames per second of a usual camera."""

_WIDTH, _HEIGHT = 1920, 1080
_BITRATE = 4_000_000
_KEYFRAME_EVERY = 60
_ENCODER = {"profile": "high", "preset": "veryfast", "bf": "0", "sc_threshold": "0"}


@dataclass(frozen=True)
class Material:
    """Videos to read, H.264 in MP4 with 30 frames/s, and a description for people."""

    paths: tuple[Path, ...]
    words: str

    def of(self, sources: int) -> list[Path]:
        """A path for each source; a path may occur several times."""
        return [self.paths[number % len(self.paths)] for number in range(sources)]


DEMO = Material(CLIPS, "the demo videos")


def material(folder: Path, *, frames: int, full_hd: bool) -> Material:
    """Make the clips, or find those that an earlier run made.

    Args:
        folder: For the clips.
        frames: The least number of frames of each.
        full_hd: Make 1080p as a camera sends it, instead of the size of the demo videos.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for once in CLIPS:
        if full_hd:
            once = _made(folder / f"{once.stem}-1080p.mp4", partial(_encode, once))
        repeats = math.ceil(frames / _frames_of(once))
        path = folder / f"{once.stem}-{repeats}-times.mp4"
        paths.append(_made(path, partial(_repeat, once, repeats=repeats)))
    made = (
        f"made of the demo videos, {_BITRATE / 1e6:g} Mbit/s, a keyframe every "
        f"{_KEYFRAME_EVERY} frames, no B-frames"
    )
    with av.open(str(paths[0])) as container:
        context = container.streams.video[0].codec_context
        size = f"{context.width}x{context.height}"
    words = f"H.264 of {size} at {CAMERA_FPS} fps, {made if full_hd else DEMO.words}"
    return Material(tuple(paths), words)


def _made(path: Path, make: Callable[[Path], None]) -> Path:
    """The file, made if it is missing; an interrupted run leaves no incomplete file."""
    if not path.exists():
        scratch = path.with_name(f"new-{os.getpid()}-{path.name}")
        try:
            make(scratch)
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
    return path


def _frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return container.streams.video[0].frames


def _encode(source: Path, target: Path) -> None:
    """Upscale a clip and encode it as a camera does."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as made:
        stream = made.add_stream("libx264", rate=CAMERA_FPS, options=_ENCODER)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        stream.bit_rate, stream.gop_size = _BITRATE, _KEYFRAME_EVERY
        for number, frame in enumerate(clip.decode(video=0)):
            larger = frame.reformat(width=_WIDTH, height=_HEIGHT, format="yuv420p")
            larger.pts, larger.time_base = number, 1 / stream.codec_context.framerate
            # Otherwise the encoder would repeat the keyframes of the clip.
            larger.pict_type = PictureType.NONE
            made.mux(stream.encode(larger))
        made.mux(stream.encode(None))


def _repeat(source: Path, target: Path, *, repeats: int) -> None:
    """Play a clip several times, without encoding it again."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as made:
        stream = clip.streams.video[0]
        packets = [packet for packet in clip.demux(stream) if packet.size]
        assert stream.time_base is not None  # of any MP4
        length = round(stream.frames / (CAMERA_FPS * stream.time_base))
        copied = made.add_stream_from_template(stream)
        for number in range(repeats):
            for packet in packets:
                made.mux(_later(packet, copied, number * length))


def _later(packet: Any, stream: Any, ticks: int) -> Any:
    """A copy of a packet for another file, so many ticks of its time base later."""
    copy = av.Packet(bytes(packet))
    copy.stream = stream
    copy.time_base, copy.duration = packet.time_base, packet.duration
    copy.pts, copy.dts = packet.pts + ticks, packet.dts + ticks
    copy.is_keyframe = packet.is_keyframe
    return copy


def slower(source: Path, target: Path, *, rate: int) -> Path:
    """Write the same pictures at another rate, without encoding them again."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as made:
        stream = clip.streams.video[0]
        assert stream.average_rate is not None  # of any MP4
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
