"""Video files, cameras and network streams, read by FFmpeg."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
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
from yolostream.sources.address import completed, scheme_of
from yolostream.sources.decoder import Decoded, Decoder, DecoderError
from yolostream.sources.decoding import DecoderName, start_decoder
from yolostream.sources.pipe import is_standard_input
from yolostream.sources.presence import Presence, presence_at
from yolostream.sources.source import EVERYTHING, Reading, Session
from yolostream.sources.stream_choice import chosen_video
from yolostream.sources.timeline import LONGEST_GAP_S, Timeline

DEFAULT_FRAME_RATE = Fraction(30)
MIN_FRAME_RATE, MAX_FRAME_RATE = Fraction(1), Fraction(1000)
"""What is beyond them is looked at twice: a leap of an hour makes nonsense of an average."""
CONNECT_TIMEOUT_S = 10.0

ARRIVAL_TIME_BASE = Fraction(1, 90_000)
"""Seconds of one unit where a live source has no clock, as RTP has it."""

# Microseconds: enough to tell the frame rate; by default it takes up to twice as long.
_RTSP = {"analyzeduration": "1000000"}
# Packets of a camera must not be lost on the way: TCP, as every NVR defaults to. One that refuses
# it as it should (461 Unsupported transport) is asked for UDP on the same connection.
_RTSP_TCP = {**_RTSP, "rtsp_transport": "tcp+udp", "rtsp_flags": "prefer_tcp"}
_RTSP_UDP = {**_RTSP, "rtsp_transport": "udp"}
# How others refuse it: by another status, an answer about UDP, or without a word.
_REFUSALS = (av.HTTPClientError, av.HTTPServerError, av.InvalidDataError)
_DENIALS = (av.HTTPUnauthorizedError, av.HTTPForbiddenError)

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

    def presence(self) -> Presence:
        """See `Source`."""
        if "://" in self.uri:
            return presence_at(completed(self.uri))
        return Presence.ANSWERS if Path(self.uri).exists() else Presence.ABSENT

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
        self.frame_rate = _frame_rate(self._stream)
        self.frame_count = self._stream.frames or None
        self._opened_at = time.monotonic()
        self._is_timed_by_arrival = video.is_live and not _has_clock(self._container)
        time_base = self._stream.time_base or 1 / self.frame_rate
        self._timeline = Timeline(
            ARRIVAL_TIME_BASE if self._is_timed_by_arrival else time_base, self.frame_rate
        )

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
            pts = self._place(decoded.pts)
            if index % self._reading.stride == 0:
                try:
                    frame = self._frame(decoded, index, pts)
                except DecoderError as error:
                    raise self._broken(index, str(error)) from error
                yield frame
            index += 1
        if index == 0 and not self._is_cancelled:
            raise SourceError(f"{self._shown} holds no readable frame: {self._advice}")

    def _place(self, said: int | None) -> int:
        """The time of a picture that has just been decoded."""
        if not self._video.is_live:
            return self._timeline.place(said)
        if self._is_timed_by_arrival:
            # FFmpeg makes times up.
            said = round((self.decoded_at - self._opened_at) / ARRIVAL_TIME_BASE)
        return self._timeline.place(said, self.decoded_at)

    def _frame(self, decoded: Decoded, index: int, pts: int) -> Frame:
        size = decoded.size
        if self._reading.fit is not None:
            size = downscaled(*size, fit=self._reading.fit)
        return Frame(
            decoded.to_rgb(*size),
            index,
            pts,
            self._timeline.time_base,
            source=self._video.name,
            source_pts_seconds=self._said_seconds(decoded),
            original_size=decoded.size,
        )

    def _said_seconds(self, decoded: Decoded) -> float | None:
        if decoded.pts is None or self._is_timed_by_arrival:
            return None
        return float(decoded.pts * self._timeline.time_base)

    @property
    def _shown(self) -> str:
        return self._video.shown

    @property
    def _advice(self) -> str:
        if self._video.is_live:
            return "check the camera and its network"
        if Path(self._video.uri).is_file():
            return "copy the file again"
        return "check where it comes from, and the network in between"

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
    is_denied = is_unknown = False
    began = time.monotonic()
    start = partial(
        av.open,
        completed(video.uri) if "://" in video.uri else ffmpeg_path(video.uri),
        format=video.format,
        # Who writes into a pipe takes the time that it takes.
        timeout=None if video.is_pipe else (CONNECT_TIMEOUT_S, silence_s),
        # Titles and the like, of which nothing is read, are in any encoding.
        metadata_errors="replace",
    )
    try:
        return _open_rtsp(start) if video.uri.startswith("rtsp") else start()
    except _DENIALS as error:
        is_denied, reason = True, str(error.strerror)
    except av.ProtocolNotFoundError as error:
        is_unknown, reason = True, str(error.strerror)
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
    # Out here it has no cause: FFmpeg's error has the whole address in it.
    if is_denied:
        raise SourceDenied(_denial(video, reason))
    if is_unknown:
        scheme = scheme_of(video.uri)
        raise SourceUnsupported(
            f"cannot read {video.shown}: the FFmpeg inside PyAV was built without {scheme}; have "
            f"another program read it, as in 'ffmpeg -i {scheme}://... -c copy -f mpegts - | "
            "yolostream detect -'"
        )
    if "://" in video.uri and time.monotonic() - began >= CONNECT_TIMEOUT_S:
        # FFmpeg says anything, such as that the data is invalid.
        reason = f"no answer within {CONNECT_TIMEOUT_S:g} s"
    raise SourceError(f"cannot read {video.shown} as video ({reason}): {_question(video)}")


def _question(video: Video) -> str:
    if "://" in video.uri:
        return "is that its address?"
    if video.is_pipe:
        return "a pipe needs a format that is read from its start, such as MPEG-TS or Matroska"
    if Path(video.uri).suffix.lower() in _LISTS:
        return "if it lists sources, give them instead: xargs -d '\\n' yolostream detect < LIST"
    return "is it a video file?"


def _denial(video: Video, reason: str) -> str:
    if "@" in video.uri or "=" in video.uri:
        return f"{video.shown} refuses this user and password ({reason}): check them"
    where = "give them before the host, as USER:PASSWORD@HOST"
    return f"{video.shown} wants a user and a password ({reason}): {where}"


def _open_rtsp(
    start: Callable[..., av.container.InputContainer],
) -> av.container.InputContainer:
    began = time.monotonic()
    try:
        return start(options=_RTSP_TCP)
    except _DENIALS:
        raise
    except _REFUSALS:
        if time.monotonic() - began >= CONNECT_TIMEOUT_S:
            # That was no answer: it ran out of time.
            raise
        with contextlib.suppress(av.FFmpegError, OSError):
            return start(options=_RTSP_UDP)
        raise


def _frame_rate(stream: av.VideoStream) -> Fraction:
    """Pictures a second, without what was cut out between them."""
    guess = stream.guessed_rate
    if guess is None or guess > MAX_FRAME_RATE:
        # It may be that of the clock.
        guess = DEFAULT_FRAME_RATE
    average = stream.average_rate or guess
    # The index of some containers has keyframes only.
    is_indexed = len(stream.index_entries) == stream.frames
    if average >= MIN_FRAME_RATE or not is_indexed or stream.time_base is None:
        return average
    times = [entry.timestamp for entry in stream.index_entries]
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    plausible = [step for step in steps if 0 < step * stream.time_base <= LONGEST_GAP_S]
    return len(plausible) / (sum(plausible) * stream.time_base) if plausible else average


def _has_clock(container: av.container.InputContainer) -> bool:
    """Whether times in it are the source's; MJPEG over HTTP, for example, has none."""
    no_timestamps: int = Flags.no_timestamps.value  # type: ignore[assignment]  # PyAV's stub
    # Pictures one after the other, which FFmpeg forgets to say it of.
    is_pipe = container.format.name.endswith("_pipe")
    return not is_pipe and not container.format.flags & no_timestamps
