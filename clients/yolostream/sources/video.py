"""Video files, cameras and network streams, read by FFmpeg."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from yolostream.errors import SourceError, SourceUnsupported
from yolostream.frame import Frame
from yolostream.printable import printable
from yolostream.redaction import redact
from yolostream.sources import video_errors
from yolostream.sources.address import completed
from yolostream.sources.cut_off import is_cut_off
from yolostream.sources.decoder import Decoded, Decoder, DecoderError
from yolostream.sources.decoding import DecoderName, start_decoder
from yolostream.sources.frame_rate import frame_rate_of
from yolostream.sources.login import Login
from yolostream.sources.opening import CONNECT_TIMEOUT_S, has_clock, open_container
from yolostream.sources.pace import Pace
from yolostream.sources.pipe import is_standard_input
from yolostream.sources.presence import Presence, presence_at
from yolostream.sources.source import EVERYTHING, Reading, Session
from yolostream.sources.stream_choice import chosen_video
from yolostream.sources.timeline import Timeline

ARRIVAL_TIME_BASE = Fraction(1, 90_000)
"""Seconds per unit of time for a live source without a clock; the same as RTP's."""


@dataclass(frozen=True)
class Video:
    """A video file, a camera or a network stream, read by FFmpeg."""

    uri: str = field(repr=False)
    """A path or an address, which may contain credentials."""
    name: str
    is_live: bool = False
    format: str | None = None
    """FFmpeg's name of the container or device; None lets FFmpeg detect it."""
    decoder: DecoderName = "cpu"
    stream_index: int | None = None
    """FFmpeg's index of the stream to read; None takes the one that FFmpeg considers the best."""
    is_pipe: bool = False
    login: Login | None = None
    """User and password for an address that contains none."""
    is_video = True

    @property
    def reopens(self) -> bool:
        """Whether it is a camera or a live stream."""
        return self.is_live

    @property
    def files(self) -> list[Path]:
        """The file that it reads."""
        return [Path(self.uri)]

    @property
    def shown(self) -> str:
        """Its path or address for messages, without secrets."""
        return "standard input" if is_standard_input(self.uri) else printable(redact(self.uri))

    def presence(self) -> Presence:
        """See `Source`."""
        if "://" in self.uri:
            return presence_at(completed(self.uri, self.login))
        return Presence.ANSWERS if Path(self.uri).exists() else Presence.ABSENT

    def open(self, reading: Reading = EVERYTHING) -> VideoSession:
        """Open it; see `Source`. Decoding starts when the first frame is taken."""
        return VideoSession(self, reading)


class VideoSession(Session):
    """The frames of an open video.

    Args:
        video: what is open.
        reading: which of its frames are converted.
        takes: says by a picture's time, in seconds, whether it is converted; None keeps to the
            number per second of `reading`.
    """

    def __init__(
        self, video: Video, reading: Reading, takes: Callable[[float], bool] | None = None
    ) -> None:
        self.decoded = 0
        """Number of pictures so far; skipped ones count."""
        self.length = 0
        """Time from the first picture to the one that would follow the last, in `time_base`."""
        self._video = video
        self._reading = reading
        self._takes = takes or Pace(reading.most_per_second).takes
        self._is_cancelled = False
        silence_s = reading.silence_s if video.is_live else CONNECT_TIMEOUT_S
        self._container = open_container(video, silence_s)
        try:
            self._stream = chosen_video(self._container, video.stream_index, video.shown)
        except SourceUnsupported:
            self._container.close()
            raise
        self._has_clock = has_clock(self._container)
        self.frame_rate = frame_rate_of(self._stream, has_clock=self._has_clock)
        self.frame_count = self._stream.frames or None
        self._opened_at = time.monotonic()
        is_timed_by_arrival = video.is_live and not self._has_clock
        time_base = self._stream.time_base or 1 / self.frame_rate
        self.time_base = ARRIVAL_TIME_BASE if is_timed_by_arrival else time_base
        """Seconds per unit of all times."""
        self._timeline = Timeline(self.time_base, self.frame_rate)

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame; see `Session`."""
        # Each of FFmpeg's decoder threads adds a frame of delay: too much for a live source.
        threads = 1 if self._video.is_live else self._reading.threads
        decoder = start_decoder(self._video.decoder, self._stream, threads=threads)
        try:
            yield from self._frames(decoder)
        finally:
            decoder.close()

    def close(self) -> None:
        """Close the file or device."""
        self._container.close()

    def cancel(self) -> None:
        """See `Session`."""
        self._is_cancelled = True

    def _frames(self, decoder: Decoder) -> Iterator[Frame]:
        step = round(1 / (self.frame_rate * self.time_base))
        begin: int | None = None
        for index, decoded in enumerate(self._decoded(decoder)):
            self.decoded_at = time.monotonic()
            pts = self._place(decoded.pts)
            begin = pts if begin is None else begin
            self.decoded, self.length = index + 1, pts - begin + step
            is_strided = index % self._reading.stride == 0
            if is_strided and self._takes(float(pts * self.time_base)):
                try:
                    frame = self._frame(decoded, index, pts)
                except DecoderError as error:
                    raise self._broken(index, str(error)) from error
                except av.FFmpegError as error:
                    matrix = self._stream.codec_context.colorspace
                    raise video_errors.has_unknown_colors(
                        self._video, matrix, str(error.strerror)
                    ) from error
                yield frame
        if self.decoded == 0 and not self._is_cancelled:
            raise video_errors.holds_no_frame(self._video)

    def _place(self, said: int | None) -> int:
        """The presentation time of a picture that has just been decoded."""
        if not self._has_clock:
            # FFmpeg makes timestamps up if the source has no clock.
            said = None
        if not self._video.is_live:
            return self._timeline.place(said)
        if not self._has_clock:
            said = round((self.decoded_at - self._opened_at) / ARRIVAL_TIME_BASE)
        return self._timeline.place(said, self.decoded_at)

    def _frame(self, decoded: Decoded, index: int, pts: int) -> Frame:
        return Frame(
            decoded.to_rgb(*self._reading.size_of(*decoded.size)),
            index,
            pts,
            self.time_base,
            source=self._video.name,
            source_pts_seconds=self._said_seconds(decoded),
            original_size=decoded.size,
        )

    def _said_seconds(self, decoded: Decoded) -> float | None:
        if decoded.pts is None or not self._has_clock:
            return None
        return float(decoded.pts * self.time_base)

    def _decoded(self, decoder: Decoder) -> Iterator[Decoded]:
        packets = damaged = 0
        try:
            for packet in self._packets():
                packets += packet.size > 0
                try:
                    pictures = decoder.decode(packet)
                except av.InvalidDataError:
                    # The decoder recovers at the next keyframe.
                    damaged += 1
                else:
                    yield from pictures
        except (av.FFmpegError, OSError) as error:
            raise self._broken(packets, str(error.strerror)) from error
        except DecoderError as error:
            raise self._broken(packets, str(error)) from error
        # Not `frame_count`, which includes pictures that an edit list hides, and gaps in AVI.
        lacks_packets = packets < len(self._stream.index_entries)
        if lacks_packets or is_cut_off(Path(self._video.uri), self._container.format.name):
            raise self._broken(packets, "the file is cut off")
        if damaged:
            raise video_errors.has_damaged_packets(self._video, damaged)

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
            # Raised outside of `except`, so that it has no cause: FFmpeg's error contains the
            # password.
            raise DecoderError(reason)

    def _broken(self, packets: int, reason: str) -> SourceError:
        return video_errors.breaks_off(
            self._video, self._container, packets, self.frame_count, reason
        )
