"""Writes small real videos, and reads videos independently of the code under test."""

from __future__ import annotations

import contextlib
import os
import resource
import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from yolostream.frame import Frame
from yolostream.sources import EVERYTHING, Reading, Source, check_files, find_sources

Image = npt.NDArray[np.uint8]

MILLISECOND = Fraction(1, 1000)

MATRICES = [
    *[(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)],
    *[(-1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 0, -1), (0, -1, -1, 0)],
]
"""a, b, c, d of all eight display matrices: four quarter turns, and the same mirrored."""


def opened(spec: object) -> list[Source]:
    """The sources that `spec` names; raises its error if it is invalid."""
    named, unknown = find_sources([str(spec)], decoder="cpu")
    sources, unreadable = check_files(named)
    for error in [*unknown, *unreadable]:
        raise error
    return sources


def frames_of(source: Source, reading: Reading = EVERYTHING) -> list[Frame]:
    with contextlib.closing(source.open(reading)) as session:
        return list(session)


def gray(level: int, *, width: int = 64, height: int = 48) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def noise(seed: int, *, width: int = 320, height: int = 240) -> Image:
    """A random picture, which no encoder can compress well."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def steps(count: int, *, width: int = 64, height: int = 48) -> list[Image]:
    """Gray frames whose level encodes their number; see `number_of`."""
    return [gray(20 + 10 * number, width=width, height=height) for number in range(count)]


def number_of(image: Image) -> int:
    """The number of a frame from `steps`, also after lossy encoding."""
    return round((float(image.mean()) - 20) / 10)


def write_clip(
    path: Path,
    images: Sequence[Image],
    *,
    rate: Fraction = Fraction(10),
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    gop: int = 5,
    codec: str = "libx264",
    format: str | None = None,
    pixel_aspect: Fraction | None = None,
    transfer: int | None = None,
) -> Path:
    height, width = images[0].shape[:2]
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", format=format, options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = width, height
        # Odd sides need chroma planes in full resolution.
        stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        stream.bit_rate = 2_000_000
        stream.gop_size = gop
        stream.codec_context.thread_count = 1
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        time_base = time_base or 1 / Fraction(rate)
        stream.codec_context.time_base = time_base
        if codec == "libx264":
            stream.options = {"preset": "ultrafast"}
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number if pts is None else pts[number]
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def retimed(path: Path, pts: Sequence[int]) -> Path:
    """Replace the 33-bit timestamps in an MPEG-TS, also by ones that no muxer would write."""
    data, times = bytearray(path.read_bytes()), iter(pts)
    for start in range(0, len(data), 188):
        begins, has_adaptation = data[start + 1] & 0x40, data[start + 3] & 0x20
        payload = start + 4 + (1 + data[start + 4] if has_adaptation else 0)
        # A PES packet of a picture starts with 0, 0, 1 and the stream id; the timestamps follow.
        if not begins or data[payload : payload + 4] != b"\0\0\1\xe0":
            continue
        time = next(times) % 2**33
        # Without B-frames, there is a PTS and no DTS.
        assert data[payload + 7] & 0xC0 == 0x80
        parts = (
            0x20 | (time >> 30) << 1 | 1,
            (time >> 15 & 0x7FFF) << 1 | 1,
            (time & 0x7FFF) << 1 | 1,
        )
        struct.pack_into(">BHH", data, payload + 9, *parts)
    path.write_bytes(data)
    return path


def packets(path: Path) -> list[tuple[int, int]]:
    """Position and size of each video packet in the file."""
    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos is not None]


def play(path: Path) -> list[tuple[float, Image]]:
    """The time in seconds and the picture, RGB, of every frame."""
    with av.open(str(path)) as container:
        return [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def play_torn(path: Path) -> list[Image]:
    """The complete pictures of a file that ends in the middle of a picture."""
    images = []
    with av.open(str(path)) as container, contextlib.suppress(av.InvalidDataError):
        for frame in container.decode(video=0):
            images.append(frame.to_ndarray(format="rgb24"))
    return images


def boxes(path: Path) -> list[str]:
    """Names of an MP4's top-level boxes, in order."""
    data, position, names = path.read_bytes(), 0, []
    while position < len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        names.append(name.decode())
        position += size if size > 1 else struct.unpack_from(">Q", data, position + 8)[0]
    return names


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Set the display matrix (a, b, c, d) in the track header of an MP4, as phones do."""
    data = bytearray(path.read_bytes())
    # After the box's name: version and flags, times and track id, layers; then the matrix.
    start = data.index(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, start, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def trimmed(path: Path) -> Path:
    """Trim an MP4 to half its length by an edit list, as phones do: all frames stay in the file."""
    data = bytearray(path.read_bytes())
    start = data.index(b"elst") + 12
    (duration,) = struct.unpack_from(">I", data, start)
    struct.pack_into(">I", data, start, duration // 2)
    path.write_bytes(data)
    return path


@contextlib.contextmanager
def full_disk(after_bytes: int) -> Iterator[None]:
    """Simulate a full disk: a file that exceeds `after_bytes` fails, with EFBIG, not ENOSPC."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@contextlib.contextmanager
def usual_scheduling() -> Iterator[None]:
    """Reset the scheduling policy after the block.

    SVT-AV1 gives the calling thread a real-time policy if it runs as root. Then that thread would
    starve everything else on the machine.
    """
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
