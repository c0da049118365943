"""Video files, cameras and network streams, read by FFmpeg."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.container
from av.format import Flags

from yolostream.errors import SourceDenied, SourceError, SourceUnsupported
from yolostream.ffmpeg_path import ffmpeg_path
from yolostream.frame import Frame
from yolostream.image import downscaled
from yolostream.printable import printable
from yolostream.redaction import redact
from yolostream.sources.address import accepts_connections, completed, scheme_of
from yolostream.sources.clock import Clock, FileClock, LiveClock
from yolostream.sources.decoder import Decoded, Decoder, DecoderError
from yolostream.sources.decoding import DecoderName, start_decoder
from yolostream.sources.pipe import is_standard_input
from yolostream.sources.source import EVERYTHING, Reading, Session
from yolostream.sources.stream_choice import chosen_video

DEFAULT_FRAME_RATE = Fraction(30)
CONNECT_TIMEOUT_S = 10.0

_RTSP = {
    # Packets of a camera must not be lost on the way: TCP, as every NVR defaults to. One that
    # refuses it (461 Unsupported transport) is asked for UDP on the same connection.
    "rtsp_transport": "tcp+udp",
    "rtsp_flags": "prefer_tcp",
    # Microseconds: enough to tell the frame rate; by default it takes up to twice as long.
    "analyzeduration": "1000000",
}

_LISTS = {".csv", ".list", ".txt"}


@dataclass(frozen=True)
class Video:
    """A video file, a camera or a network stream, read by FFmpeg."""

    uri: str = field(repr=False)
    """A path or an address, which may have credentials in it."""
    name: str
    is_live: bool = False
    format: str | None = None
    """FFmpeg's name of the container or device; None lets it find out."""
    decoder: DecoderName = "cpu"
    stream_index: int | None = None
    """Which of its streams, as FFmpeg counts them; None for the one that it takes for the best."""
    is_pipe: bool = False
    is_video = True

    @property
    def reopens(self) -> bool:
        """Cameras and live streams do."""
        return self.is_live

    @property
    def files(self) -> list[Path]:
        """The file that it reads."""
        return [Path(self.uri)]

    @property
    def shown(self) -> str:
        """What people are told of where it is."""
        return "standard input" if is_standard_input(self.uri) else printable(redact(self.uri))

    def is_reachable(self) -> bool:
        """See `Source`."""
        if "://" in self.uri:
            return accepts_connections(completed(self.uri))
        return Path(self.uri).exists()

    def open(self, reading: Reading = EVERYTHING) -> VideoSession:
        """Open it; see `Source`. Decoding starts with the first frame that is taken."""
        return VideoSession(self, reading)


class VideoSession(Session):
    """The frames of a video, from where it was opened to its end."""

    def __init__(self, video: Video, reading: Reading) -> None:
        self._video = video
        self._reading = reading
        self._is_cancelled = False
        silence_s = reading.silence_s if video.is_live else CONNECT_TIMEOUT_S
        self._container = _open(video, silence_s)
        try:
            self._stream = chosen_video(self._container, video.stream_index, video.shown)
        except SourceUnsupported:
            self._container.close()
            raise
        self.frame_rate = (
            self._stream.average_rate or self._stream.guessed_rate or DEFAULT_FRAME_RATE
        )
        self.frame_count = self._stream.frames or None
        time_base = self._stream.time_base or 1 / self.frame_rate
        self._clock: Clock = FileClock(time_base, self.frame_rate)
        if video.is_live:
            self._clock = LiveClock(time_base, is_trusted=_has_clock(self._container))

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame; see `Session`."""
        # FFmpeg's decoders keep back a frame a thread: a live source must not wait for that.
        threads = 1 if self._video.is_live else self._reading.threads
        decoder = start_decoder(self._video.decoder, self._stream, threads=threads)
        try:
            yield from self._frames(decoder)
        finally:
            decoder.close()

    def close(self) -> None:
        """Let go of the file or device."""
        self._container.close()

    def cancel(self) -> None:
        """See `Session`."""
        self._is_cancelled = True

    def _frames(self, decoder: Decoder) -> Iterator[Frame]:
        index = 0
        for decoded in self._decoded(decoder):
            self.decoded_at = time.monotonic()
            pts = self._clock.place(decoded.pts)
            if index % self._reading.stride == 0:
                try:
                    frame = self._frame(decoded, index, pts)
                except DecoderError as error:
                    raise self._broken(index, str(error)) from error
                yield frame
            index += 1
        if index == 0 and not self._is_cancelled:
            raise SourceError(f"{self._shown} holds no readable frame: is it damaged?")

    def _frame(self, decoded: Decoded, index: int, pts: int) -> Frame:
        size = decoded.size
        if self._reading.fit is not None:
            size = downscaled(*size, fit=self._reading.fit)
        return Frame(
            decoded.to_rgb(*size),
            index,
            pts,
            self._clock.time_base,
            source=self._video.name,
            original_size=decoded.size,
        )

    @property
    def _shown(self) -> str:
        return self._video.shown

    @property
    def _advice(self) -> str:
        return "check the camera and its network" if self._video.is_live else "copy the file again"

    def _decoded(self, decoder: Decoder) -> Iterator[Decoded]:
        packets = damaged = 0
        try:
            for packet in self._packets():
                packets += packet.size > 0
                try:
                    pictures = decoder.decode(packet)
                except av.InvalidDataError:
                    # The decoder goes on at the next keyframe, and so does a camera.
                    damaged += 1
                else:
                    yield from pictures
        except (av.FFmpegError, OSError) as error:
            raise self._broken(packets, str(error.strerror)) from error
        except DecoderError as error:
            raise self._broken(packets, str(error)) from error
        # The index, not `frame_count`, which counts what an edit list hides and AVI's gaps too.
        if packets < len(self._stream.index_entries):
            raise self._broken(packets, "the file is cut off")
        if damaged:
            raise SourceError(
                f"{self._shown} has {damaged} damaged packets: the rest was kept; {self._advice}"
            )

    def _packets(self) -> Iterator[av.Packet[av.VideoStream]]:
        reason = ""
        try:
            for packet in self._container.demux(self._stream):
                if self._is_cancelled:
                    return
                yield packet
        except (av.FFmpegError, OSError) as error:
            reason = str(error.strerror)
        if reason:
            # Out here it has no cause: FFmpeg's error has the whole address in it.
            raise DecoderError(reason)

    def _broken(self, packets: int, reason: str) -> SourceError:
        total = f" of {self.frame_count}" if self.frame_count else ""
        return SourceError(
            f"{self._shown} breaks off after {packets}{total} frames ({reason}): "
            f"what came before was kept; {self._advice}"
        )


def _open(video: Video, silence_s: float) -> av.container.InputContainer:
    options = _RTSP if video.uri.startswith("rts") else {}
    is_denied = is_unknown = False
    try:
        return av.open(
            completed(video.uri) if "://" in video.uri else ffmpeg_path(video.uri),
            format=video.format,
            options=options,
            # Who writes into a pipe takes the time that it takes.
            timeout=None if video.is_pipe else (CONNECT_TIMEOUT_S, silence_s),
            # Titles and the like, of which nothing is read, are in any encoding.
            metadata_errors="replace",
        )
    except (av.HTTPUnauthorizedError, av.HTTPForbiddenError) as error:
        is_denied, reason = True, error.strerror
    except av.ProtocolNotFoundError as error:
        is_unknown, reason = True, error.strerror
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
    # Out here it has no cause: FFmpeg's error has the whole address in it.
    if is_denied:
        raise SourceDenied(f"{video.shown} refuses this user and password ({reason}): check them")
    if is_unknown:
        scheme = scheme_of(video.uri)
        raise SourceUnsupported(
            f"cannot read {video.shown}: the FFmpeg inside PyAV was built without {scheme}; have "
            f"another program read it, as in 'ffmpeg -i {scheme}://... -c copy -f mpegts - | "
            "yolostream detect -'"
        )
    raise SourceError(f"cannot read {video.shown} as video ({reason}): {_question(video)}")


def _question(video: Video) -> str:
    if "://" in video.uri:
        return "is that its address?"
    if video.is_pipe:
        return "a pipe needs a format that is read from its start, such as MPEG-TS or Matroska"
    if Path(video.uri).suffix.lower() in _LISTS:
        return "if it lists sources, give them instead: xargs -d '\\n' yolostream detect < LIST"
    return "is it a video file?"


def _has_clock(container: av.container.InputContainer) -> bool:
    """Whether times in it are the source's; MJPEG over HTTP, for example, has none."""
    no_timestamps: int = Flags.no_timestamps.value  # type: ignore[assignment]  # PyAV's stub
    return not container.format.flags & no_timestamps
