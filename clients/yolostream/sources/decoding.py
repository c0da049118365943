"""Choice of the decoder: the GPU's if it was asked for and works, else the CPU's."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from functools import partial
from typing import Literal

import av

from yolostream.redaction import redact
from yolostream.sources import nvdec
from yolostream.sources.decoder import CpuDecoder, Decoded, Decoder, DecoderError, StartDecoder

DecoderName = Literal["cpu", "gpu", "auto"]

# A camera's stream may start in the middle of a group of pictures, which usually lasts 2 s.
_PATIENCE_PACKETS = 64

_log = logging.getLogger(__name__)


def start_decoder(wanted: DecoderName, stream: av.VideoStream, *, threads: int = 0) -> Decoder:
    """Start the decoder of one video.

    Args:
        wanted: `gpu` and `auto` fall back to the CPU. Both log it if the machine has a GPU; `gpu`
            also logs it if the machine has none.
        stream: the stream to decode.
        threads: number of decoder threads on the CPU; 0 takes one per core.
    """
    start_on_cpu = partial(CpuDecoder, threads=threads)
    if wanted == "cpu":
        return start_on_cpu(stream)
    if lack := nvdec.missing():
        if wanted == "gpu":
            _log.warning("videos are decoded on the CPU: %s", lack)
        return start_on_cpu(stream)
    return GpuFirstDecoder(stream, start=nvdec.GpuDecoder, start_on_cpu=start_on_cpu)


class GpuFirstDecoder:
    """Decodes on the GPU. If it returns no picture, the CPU decodes from the first packet on."""

    def __init__(
        self, stream: av.VideoStream, *, start: StartDecoder, start_on_cpu: StartDecoder
    ) -> None:
        self._stream = stream
        self._start_on_cpu = start_on_cpu
        # Packets are kept until the first picture shows that the GPU can decode the stream.
        self._kept: list[av.Packet[av.VideoStream]] | None = []
        self._decoder: Decoder
        try:
            self._decoder = start(stream)
        except DecoderError as error:
            self._fall_back(error)

    def decode(self, packet: av.Packet[av.VideoStream]) -> Iterable[Decoded]:
        """The pictures that this packet completes; see `Decoder`."""
        if self._kept is None:
            return self._decoder.decode(packet)
        self._kept.append(packet)
        try:
            pictures = list(self._decoder.decode(packet))
            if not pictures and (not packet.size or len(self._kept) > _PATIENCE_PACKETS):
                raise DecoderError("the GPU returns no picture")
        except DecoderError as error:
            kept = self._kept
            self._fall_back(error)
            return self._decoded_again(kept)
        if pictures:
            self._kept = None
        return pictures

    def _decoded_again(self, packets: Iterable[av.Packet[av.VideoStream]]) -> list[Decoded]:
        pictures: list[Decoded] = []
        for packet in packets:
            # A damaged packet must not end the decoding of the others.
            with contextlib.suppress(av.InvalidDataError):
                pictures.extend(self._decoder.decode(packet))
        return pictures

    def close(self) -> None:
        """Release the hardware."""
        self._decoder.close()

    def _fall_back(self, error: DecoderError) -> None:
        name = redact(str(self._stream.container.name))
        _log.warning("%s is decoded on the CPU: %s", name, error)
        self._decoder = self._start_on_cpu(self._stream)
        self._kept = None
