"""What is read: clips as cameras send them, made of the demo videos."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
from av.video.frame import PictureType

from loadtest.gpu.rows import CAMERA_FPS
from loadtest.repository import VIDEOS

_CLIPS = ("mb1_1", "mb2_2")
_WIDTH, _HEIGHT = 1920, 1080
_BITRATE = 4_000_000
_KEYFRAME_EVERY = 60
_ENCODER = {"profile": "high", "preset": "veryfast", "bf": "0", "sc_threshold": "0"}


@dataclass(frozen=True)
class Material:
    """Videos to read.

    Attributes:
        paths: H.264 in MP4, 30 fps; sources take them in turns.
        words: What they are, for people.
    """

    paths: tuple[Path, ...]
    words: str

    def of(self, sources: int) -> list[Path]:
        """So many of them; a file may be there several times."""
        return [self.paths[number % len(self.paths)] for number in range(sources)]


def material(folder: Path, *, frames: int, full_hd: bool) -> Material:
    """Make the clips, or find those that an earlier run made.

    Args:
        folder: For them.
        frames: That each has at least.
        full_hd: 1080p as a camera sends it; else the demo videos as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in _CLIPS:
        once = VIDEOS / f"{name}.mp4"
        if full_hd:
            once = _made(folder / f"{name}-1080p.mp4", partial(_encode, once))
        repeats = math.ceil(frames / _frames_of(once))
        path = folder / f"{once.stem}-{repeats}-times.mp4"
        paths.append(_made(path, partial(_repeat, once, repeats=repeats)))
    return Material(tuple(paths), _words(paths[0], full_hd=full_hd))


def _words(path: Path, *, full_hd: bool) -> str:
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        size = f"{context.width}x{context.height}"
    made = (
        f"made of the demo videos, {_BITRATE / 1e6:g} Mbit/s, a keyframe every "
        f"{_KEYFRAME_EVERY} frames, no B-frames"
        if full_hd
        else "the demo videos"
    )
    return f"H.264 of {size} at {CAMERA_FPS} fps, {made}"


def _made(path: Path, make: Callable[[Path], None]) -> Path:
    """The file, made if need be; one that was broken off is not taken for whole."""
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
            # Otherwise the clip's own keyframes would be forced upon the encoder.
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
    """A copy of a packet of another file, so many ticks of its time base later."""
    copy = av.Packet(bytes(packet))
    copy.stream = stream
    copy.time_base, copy.duration = packet.time_base, packet.duration
    copy.pts, copy.dts = packet.pts + ticks, packet.dts + ticks
    copy.is_keyframe = packet.is_keyframe
    return copy
