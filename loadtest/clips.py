"""Videos for the benchmarks: the demo videos, their frames, and clips that are made of them."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from yolostream.client.transport.buffers import resize
from yolostream.image import Image
from yolostream.sources import Reading, find_sources

from loadtest.repository import VIDEOS

CLIPS = (VIDEOS / "mb1_1.mp4", VIDEOS / "mb2_2.mp4")
"""1280x720 at 30 frames/s."""
CAMERA_FPS = 30
"""Frames per second of a usual camera."""

_WIDTH, _HEIGHT = 1920, 1080
_BITRATE = 4_000_000
_KEYFRAME_EVERY = 60
_ENCODER = {"profile": "high", "preset": "veryfast", "bf": "0", "sc_threshold": "0"}


def demo_frames(
    *, size: tuple[int, int] | None = None, every: int = 10, first: int | None = None
) -> list[Image]:
    """Read frames of a demo clip.

    Args:
        size: Height and width to resize to, in pixels; by default those of the clip.
        every: Take every Nth frame.
        first: Take so many; by default all.

    Returns:
        uint8 [height, width, 3] each, RGB.
    """
    (source,), _ = find_sources([str(CLIPS[0])], decoder="cpu")
    frames = []
    with contextlib.closing(source.open(Reading(stride=every))) as session:
        for frame in islice(session, first):
            assert isinstance(frame.image, np.ndarray)  # of the processor's decoder
            height, width = size or frame.image.shape[:2]
            frames.append(resize(frame.image, height=height, width=width))
    return frames


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
        with av.open(str(once)) as container:
            stream = container.streams.video[0]
            repeats = math.ceil(frames / stream.frames)
            size = f"{stream.codec_context.width}x{stream.codec_context.height}"
        path = folder / f"{once.stem}-{repeats}-times.mp4"
        paths.append(_made(path, partial(_copy, once, repeats=repeats)))
    made = (
        f"made of the demo videos, {_BITRATE / 1e6:g} Mbit/s, a keyframe every "
        f"{_KEYFRAME_EVERY} frames, no B-frames"
    )
    words = f"H.264 of {size} at {CAMERA_FPS} fps, {made if full_hd else DEMO.words}"
    return Material(tuple(paths), words)


def slower(source: Path, target: Path, *, rate: int) -> Path:
    """Write the same pictures at so many frames per second, without encoding them again."""
    _copy(source, target, rate=rate)
    return target


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


def _copy(source: Path, target: Path, *, repeats: int = 1, rate: int | None = None) -> None:
    """Play a clip several times, at another rate, without encoding it again."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as made:
        stream = clip.streams.video[0]
        assert stream.average_rate is not None  # of any MP4
        assert stream.time_base is not None
        slowness = Fraction(stream.average_rate) / (rate or stream.average_rate)
        packets = [packet for packet in clip.demux(stream) if packet.size]
        length = round(stream.frames / (stream.average_rate * stream.time_base))
        copied = made.add_stream_from_template(stream)
        for number in range(repeats):
            for packet in packets:
                copy = av.Packet(bytes(packet))
                copy.stream, copy.time_base = copied, packet.time_base
                copy.is_keyframe = packet.is_keyframe
                assert packet.pts is not None
                assert packet.dts is not None
                copy.pts = round((packet.pts + number * length) * slowness)
                copy.dts = round((packet.dts + number * length) * slowness)
                copy.duration = round((packet.duration or 0) * slowness)
                made.mux(copy)
