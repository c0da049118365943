"""Choice of the video stream in a container."""

from __future__ import annotations

import av
import av.container

from yolostream.errors import SourceUnsupported

_OF_PICTURES = "_pipe"
"""Suffix of the names of FFmpeg's demuxers for still pictures."""


def chosen_video(
    container: av.container.InputContainer, index: int | None, shown: str
) -> av.VideoStream:
    """The video stream to read.

    Args:
        container: an open container.
        index: FFmpeg's index of the stream among all streams; None takes the video that FFmpeg
            considers the best, with preference for one that is marked as the default.
        shown: the container's path or address for error messages, without secrets.

    Raises:
        SourceUnsupported: there is no such video, or FFmpeg cannot decode it.
    """
    videos = {stream.index: stream for stream in container.streams.video}
    if not videos:
        raise SourceUnsupported(f"{shown} has no video in it: give a video file")
    if index is None:
        best = container.streams.best("video")
        index = next(iter(videos)) if best is None else best.index
    if index not in videos:
        raise SourceUnsupported(
            f"{shown} has no video stream {index}: set --stream-index to one of "
            f"{', '.join(map(_described, videos.values()))} (sizes are height x width)"
        )
    # None if FFmpeg has no decoder, though PyAV's types do not say so.
    if videos[index].codec_context is None:
        if container.format.name.endswith(_OF_PICTURES):
            kind = container.format.name.removesuffix(_OF_PICTURES)
            raise SourceUnsupported(
                f"{shown} is a picture in an unsupported format ({kind}): convert it to JPEG or PNG"
            )
        raise SourceUnsupported(
            f"{shown} has a video that FFmpeg cannot decode: set the source to H.264 or H.265"
        )
    return videos[index]


def _described(stream: av.VideoStream) -> str:
    context = stream.codec_context
    what = "unknown" if context is None else f"{context.name} {context.height}x{context.width}"
    return f"{stream.index} ({what})"
