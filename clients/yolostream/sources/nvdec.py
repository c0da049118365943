"""Decodes videos on the GPU (NVDEC, through PyNvVideoCodec); pictures stay in GPU memory.

FFmpeg still demuxes the containers, so that timestamps, edit lists and errors are the same as on
the CPU.
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

# FFmpeg's name of a codec -> NVDEC's, and the filter that makes packets the bitstream for NVDEC.
_CODECS = {
    "h264": ("H264", "h264_mp4toannexb"),
    "hevc": ("HEVC", "hevc_mp4toannexb"),
    "av1": ("AV1", "null"),
    "vp8": ("VP8", "null"),
    "vp9": ("VP9", "null"),
}
_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
# More packets than any codec delays. The limit is needed because a damaged packet has no picture.
_MOST_WAITING = 64


def missing() -> str:
    """Why this machine cannot decode on the GPU, and the fix; empty if it can."""
    if lack := gpu_memory.missing():
        return lack
    if importlib.util.find_spec("PyNvVideoCodec") is None:
        return f"PyNvVideoCodec is not installed ({gpu_memory.INSTALL})"
    # Without this, PyNvVideoCodec logs a page about what the one line below says.
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
    """Decodes a stream with NVDEC on the current GPU.

    Args:
        stream: the stream to decode.

    Raises:
        DecoderError: NVDEC cannot decode this codec, pixel format or size.
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

            # CuPy's compiler may be missing. Failing here lets the CPU decode from the start.
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
        # NVDEC returns pictures with the timestamps of the packets in ascending order. A packet
        # without a timestamp gets a consecutive number.
        self._time = self._time + 1 if packet.pts is None else packet.pts
        # A list, because a camera may use a timestamp twice.
        self._waiting.setdefault(self._time, []).append((packet.pts, packet.is_discard))
        if len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        # A copy, because the filter takes the packet's data away.
        copy = av.Packet(bytes(packet))
        copy.is_keyframe = packet.is_keyframe
        data = b"".join(map(bytes, self._filter.filter(copy)))
        # Empty data would mean the end of the stream.
        return self._decode(data) if data else []

    def close(self) -> None:
        """Release NVDEC."""
        self._decoder = None

    def _decode(self, data: bytes) -> list[Decoded]:
        """Send a piece of the bitstream; an empty one ends the stream."""
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
            # An edit list hides the picture; it was decoded because others refer to it.
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
        """A picture's timestamp in the container, and whether an edit list hides it."""
        packets = self._waiting.pop(time, [])
        if len(packets) > 1:
            self._waiting[time] = packets[1:]
        return packets[0] if packets else (None, False)


def _format_of(stream: av.VideoStream) -> tuple[str, str]:
    """NVDEC's name of the codec, and the bitstream filter.

    Raises:
        DecoderError: NVDEC cannot decode the stream.
    """
    context = stream.codec_context
    name = context.codec.canonical_name
    if name not in _CODECS:
        raise DecoderError(f"NVDEC is not used for codec {name}, only for {', '.join(_CODECS)}")
    if context.pix_fmt not in _PIXEL_FORMATS or context.width % 2 or context.height % 2:
        raise DecoderError(
            f"{context.pix_fmt} {context.height}x{context.width} (height x width) is not decoded "
            "on the GPU, only yuv420p with even sides"
        )
    if is_hdr(context.color_trc):
        raise DecoderError("tone mapping of high dynamic range (PQ or HLG) runs on the CPU only")
    return _CODECS[name]


def _orientation(stream: av.VideoStream) -> Orientation:
    """The orientation in a file's display matrix; upright for anything that is not a file."""
    name = str(stream.container.name)
    if not Path(name).is_file():
        return UPRIGHT
    # PyAV gives the display matrix only with a decoded frame.
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
    """Raise any error in the block as a `DecoderError`: PyNvVideoCodec documents no errors."""
    try:
        yield
    except Exception as error:
        raise DecoderError(f"the GPU's decoder failed ({gpu_memory.first_line(error)})") from error
