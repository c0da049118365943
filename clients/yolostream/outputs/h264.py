"""The H.264 encoder of all videos: files, pushed streams, HLS and the live page."""

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
    """Add a stream of H.264 to an output container.

    Args:
        container: the container, which must have no stream yet.
        size: height and width of the pictures, in pixels. An odd side gets one more pixel, because
            H.264's chroma planes have half the size.
        frame_rate: nominal frames per second.
        time_base: seconds per unit of the frames' timestamps.
        options: options of libx264, by FFmpeg's names.
        threads: number of encoder threads.
    """
    height, width = size
    stream = container.add_stream("libx264", rate=frame_rate)
    stream.width, stream.height = width + width % 2, height + height % 2
    stream.pix_fmt = "yuv420p"
    stream.options = dict(options)
    context = stream.codec_context
    context.time_base, context.thread_count = time_base, threads
    # The color space of OpenCV's conversion. Without it, players assume another for large pictures.
    context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
    return stream
