"""Videos decoded by the GPU's NVDEC, through PyNvVideoCodec: pictures that stay in GPU memory.

FFmpeg still reads the containers, so that times, cuts and breaks are the same as on the CPU.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from yolostream import gpu_memory
from yolostream.image import DeviceImage
from yolostream.sources.decoder import Decoded, DecoderError
from yolostream.sources.hdr import is_hdr
from yolostream.sources.nv12 import Nv12ToRgb
from yolostream.sources.orientation import (
    UPRIGHT,
    Orientation,
    orientation_of,
    with_square_pixels,
)

# NVDEC's names, and what makes a container's packets the plain stream that it reads.
_CODECS = {
    "h264": ("H264", "h264_mp4toannexb"),
    "hevc": ("HEVC", "hevc_mp4toannexb"),
    "av1": ("AV1", "null"),
    "vp8": ("VP8", "null"),
    "vp9": ("VP9", "null"),
}
_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
# More than any codec keeps back; a damaged packet never gets its picture.
_MOST_WAITING = 64


def missing() -> str:
    """What keeps this machine from decoding on the GPU, and the fix; empty where nothing does."""
    if lack := gpu_memory.missing():
        return lack
    if importlib.util.find_spec("PyNvVideoCodec") is None:
        return f"PyNvVideoCodec is not installed ({gpu_memory.INSTALL})"
    # It logs a page about what the one line here says.
    logging.getLogger("PyNvVideoCodec").addHandler(logging.NullHandler())
    try:
        import PyNvVideoCodec  # noqa: F401
    except Exception as error:  # whatever it finds wrong with the driver
        return (
            f"PyNvVideoCodec does not load ({gpu_memory.first_line(error)}): a container needs "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
        )
    return ""


class GpuDecoder:
    """NVDEC on the current GPU.

    Raises:
        DecoderError: it does not decode this codec, pixel format or size.
    """

    def __init__(self, stream: av.VideoStream) -> None:
        codec, bitstream_filter = _format_of(stream)
        self._waiting: dict[int, list[tuple[int | None, bool]]] = {}
        self._time = 0
        context = stream.codec_context
        self._pixel_aspect = stream.sample_aspect_ratio
        self._orientation = _orientation(stream)
        self._to_rgb = Nv12ToRgb(
            colorspace=int(context.colorspace),
            full_range=context.color_range == 2 or context.pix_fmt == "yuvj420p",
            orientation=self._orientation,
        )
        with _as_decoder_error():
            import cupy
            import PyNvVideoCodec as nvc  # noqa: N813  # as its own samples call it

            # Its compiler may be missing: better now than in the middle.
            self._to_rgb.compile()
            self._nvc = nvc
            self._filter = BitStreamFilterContext(bitstream_filter, stream)
            self._cuda_stream = cupy.cuda.Stream(non_blocking=True)
            self._decoder = nvc.CreateDecoder(
                gpuid=cupy.cuda.Device().id,
                codec=getattr(nvc.cudaVideoCodec, codec),
                cudastream=self._cuda_stream.ptr,
                usedevicememory=True,
            )

    def decode(self, packet: av.Packet[av.VideoStream]) -> list[Decoded]:
        """The pictures that this packet completes, in GPU memory; see `Decoder`."""
        if not packet.size:
            return self._decode(b"")
        # NVDEC sorts the times that it was given, and hands the first back with the next picture
        # to show. Where the container names none, packets count.
        self._time = self._time + 1 if packet.pts is None else packet.pts
        # A camera may name a time twice.
        self._waiting.setdefault(self._time, []).append((packet.pts, packet.is_discard))
        if len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        # The filter empties what it is given.
        copy = av.Packet(bytes(packet))
        copy.is_keyframe = packet.is_keyframe
        data = b"".join(map(bytes, self._filter.filter(copy)))
        # Nothing would be the end of the stream.
        return self._decode(data) if data else []

    def close(self) -> None:
        """Let go of NVDEC."""
        self._decoder = None

    def _decode(self, data: bytes) -> list[Decoded]:
        """Send a piece of the stream, or its end if there is nothing in it."""
        bitstream = np.frombuffer(data, np.uint8)
        with _as_decoder_error():
            piece = self._nvc.PacketData()
            piece.bsl = bitstream.size
            piece.bsl_data = bitstream.ctypes.data if bitstream.size else 0
            piece.pts = self._time
            frames = self._decoder.Decode(piece)
            return [decoded for frame in frames if (decoded := self._decoded(frame))]

    def _decoded(self, frame: Any) -> Decoded | None:
        pts, is_hidden = self._packet_of(frame.getPTS())
        if is_hidden:
            # An edit list cuts it off; others are made from it.
            return None
        rows, width = frame.shape
        size, address = (rows * 2 // 3, width), frame.GetPtrToPlane(0)
        shown = self._orientation.size(with_square_pixels(size, self._pixel_aspect))
        return Decoded(pts, shown, partial(self._converted, address, size))

    def _converted(
        self, address: int, size: tuple[int, int], height: int, width: int
    ) -> DeviceImage:
        with _as_decoder_error():
            image: DeviceImage = self._to_rgb(
                address, size, height, width, stream=self._cuda_stream
            )
            return image

    def _packet_of(self, time: int) -> tuple[int | None, bool]:
        """What the container says of a picture: its time, and whether it is hidden."""
        packets = self._waiting.pop(time, [])
        if len(packets) > 1:
            self._waiting[time] = packets[1:]
        return packets[0] if packets else (None, False)


def _format_of(stream: av.VideoStream) -> tuple[str, str]:
    """NVDEC's name for the codec, and the bitstream filter."""
    context = stream.codec_context
    name = context.codec.canonical_name
    if name not in _CODECS:
        raise DecoderError(f"NVDEC has no codec {name}, only {', '.join(_CODECS)}")
    if context.pix_fmt not in _PIXEL_FORMATS or context.width % 2 or context.height % 2:
        raise DecoderError(
            f"{context.pix_fmt} {context.height}x{context.width} (height x width) is not read from "
            "the GPU, only yuv420p with even sides"
        )
    if is_hdr(context.color_trc):
        raise DecoderError("its high dynamic range (PQ or HLG) is toned down by the CPU")
    return _CODECS[name]


def _orientation(stream: av.VideoStream) -> Orientation:
    """What a file's display matrix asks for."""
    name = str(stream.container.name)
    if not Path(name).is_file():
        return UPRIGHT
    # Only a decoded frame tells.
    with (
        contextlib.suppress(av.FFmpegError),
        av.open(name, metadata_errors="replace") as container,
    ):
        for frame in container.decode(container.streams[stream.index]):
            if isinstance(frame, av.VideoFrame):
                return orientation_of(frame) or UPRIGHT
    return UPRIGHT


@contextlib.contextmanager
def _as_decoder_error() -> Iterator[None]:
    """PyNvVideoCodec does not document what it raises; CuPy's compiler may be missing, too."""
    try:
        yield
    except Exception as error:
        raise DecoderError(f"the GPU's decoder fails ({gpu_memory.first_line(error)})") from error
