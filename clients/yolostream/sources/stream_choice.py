"""Which of the streams in a container is the video."""

from __future__ import annotations

import av
import av.container

from yolostream.errors import SourceUnsupported

_OF_PICTURES = "_pipe"
"""How FFmpeg's names of what reads single pictures end."""


def chosen_video(
    container: av.container.InputContainer, index: int | None, shown: str
) -> av.VideoStream:
    """The video stream to read.

    Args:
        container: that was opened.
        index: of the stream, as FFmpeg counts all streams; None for the video that FFmpeg takes for
            the best, first of all the one that is marked as the default.
        shown: what people are told of where it is.

    Raises:
        SourceUnsupported: there is none, or it cannot be decoded.
    """
    videos = {stream.index: stream for stream in container.streams.video}
    if not videos:
        raise SourceUnsupported(f"{shown} has no video in it: give a video file")
    if index is None:
        best = container.streams.best("video")
        index = next(iter(videos)) if best is None else best.index
    if index not in videos:
        raise SourceUnsupported(
            f"{shown} has no video stream {index}: choose another --stream-index, of "
            f"{', '.join(map(_described, videos.values()))} (sizes are height x width)"
        )
    # PyAV's types do not say so.
    if videos[index].codec_context is None:
        if container.format.name.endswith(_OF_PICTURES):
            kind = container.format.name.removesuffix(_OF_PICTURES)
            raise SourceUnsupported(
                f"{shown} is a picture of a kind that is not read here ({kind}): convert it to "
                "JPEG or PNG"
            )
        raise SourceUnsupported(
            f"{shown} has a video that FFmpeg cannot decode: choose H.264 or H.265 there"
        )
    return videos[index]


def _described(stream: av.VideoStream) -> str:
    context = stream.codec_context
    what = "unknown" if context is None else f"{context.name} {context.height}x{context.width}"
    return f"{stream.index} ({what})"
