"""Render synthetic street clips with their ground truth.

Without options it writes the two demo clips. With `--street SEED` it writes a clip of a random
street instead, for example for load tests.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from tools.demo.streets import Annotations, Street, demo_street, random_street
from tools.demo.streets.truth import write_coco, write_mot

DEMO_NAMES: tuple[Literal["mb1_1", "mb2_2"], ...] = ("mb1_1", "mb2_2")

ENCODER_OPTIONS = {
    "crf": "22",
    "preset": "slow",
    "profile": "high",
    "maxrate": "1500k",
    "bufsize": "3000k",
    "threads": "1",
    "movflags": "+faststart",
}
"""Fixed settings and one thread, so that the same build of the encoder writes the same file."""

COLOR_BT709 = 1
COLOR_RANGE_LIMITED = 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _parse(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    width, height = (int(side) for side in options.size.split("x"))
    clips: list[tuple[str, Street]] = []
    if options.street is None:
        for demo in (n for n in DEMO_NAMES if n in options.names or not options.names):
            clips.append((demo, demo_street(demo, width=width, height=height)))
    else:
        street = random_street(
            options.street, width=width, height=height, duration_s=options.seconds
        )
        clips.append((f"street_{options.street}", street))
    for name, street in clips:
        make_clip(name, street, output=options.output, seconds=options.seconds, fps=options.fps)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.make_videos", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"clips to write (default: {' '.join(DEMO_NAMES)})"
    )
    parser.add_argument("--output", type=Path, default=Path("videos"), help="folder to write to")
    parser.add_argument("--street", type=int, metavar="SEED", help="a random street instead")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip")
    parser.add_argument("--fps", type=int, default=30, help="frames per second")
    parser.add_argument("--size", default="1280x720", metavar="WxH", help="picture size in pixels")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(DEMO_NAMES)
    if unknown:
        parser.error(f"unknown clip: {', '.join(sorted(unknown))}")
    return options


def make_clip(name: str, street: Street, *, output: Path, seconds: float, fps: int) -> None:
    """Render and encode one clip, and write its ground truth.

    Args:
        name: stem of the files `NAME.mp4`, `NAME.coco.json` and `NAME.mot.txt`.
        street: the scene.
        output: folder of the files, which must exist.
        seconds: length of the clip.
        fps: frames per second.
    """
    count = round(seconds * fps)
    truths: list[Annotations] = []
    video = output / f"{name}.mp4"
    with av.open(str(video), "w", options={"movflags": ENCODER_OPTIONS["movflags"]}) as container:
        stream = _open_stream(container, street, fps)
        for index in range(count):
            image, truth = street.render(index / fps)
            truths.append(truth)
            container.mux(stream.encode(_to_yuv(image)))
            _progress(name, index + 1, count)
        container.mux(stream.encode(None))
    size = (street.width, street.height)
    write_coco(output / f"{name}.coco.json", truths, video_name=video.name, size=size, fps=fps)
    write_mot(output / f"{name}.mot.txt", truths)


def _open_stream(
    container: av.container.OutputContainer, street: Street, fps: int
) -> av.VideoStream:
    options = {key: value for key, value in ENCODER_OPTIONS.items() if key != "movflags"}
    stream = container.add_stream("libx264", rate=Fraction(fps), options=options)
    stream.width, stream.height, stream.pix_fmt = street.width, street.height, "yuv420p"
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = COLOR_BT709
    context.color_range = COLOR_RANGE_LIMITED
    return stream


def _to_yuv(image: NDArray[np.uint8]) -> av.VideoFrame:
    """Convert to YUV with the matrix that the stream declares; the default would shift colors."""
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _progress(name: str, done: int, count: int) -> None:
    end = "\n" if done == count else ""
    sys.stderr.write(f"\r{name}: {done}/{count} frames{end}")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
