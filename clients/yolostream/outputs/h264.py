"""The encoder of every video that is written, sent or shown."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import av
import av.container
from av.video.reformatter import ColorRange, Colorspace


def add_h264_stream(
    container: av.container.OutputContainer,
    size: tuple[int, int],
    *,
    frame_rate: Fraction,
    time_base: Fraction,
    options: Mapping[str, str],
    threads: int = 1,
) -> av.VideoStream:
    """Add a stream of H.264 to a container that has none.

    Args:
        container: where its packets go.
        size: height and width of the pictures, in pixels. H.264's chroma is half the size: an odd
            side gets one more pixel.
        frame_rate: nominal frames per second.
        time_base: seconds of one unit of the times of its frames.
        options: of libx264, by the names that FFmpeg has for them.
        threads: that encode it.
    """
    height, width = size
    stream = container.add_stream("libx264", rate=frame_rate)
    stream.width, stream.height = width + width % 2, height + height % 2
    stream.pix_fmt = "yuv420p"
    stream.options = dict(options)
    context = stream.codec_context
    context.time_base, context.thread_count = time_base, threads
    # What OpenCV's conversion makes; untagged, players guess another one for large pictures.
    context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
    return stream
