"""The options of `yolostream detect`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from yolostream.bundled import DEMO_VIDEOS
from yolostream.client.transport.choice import Transport
from yolostream.sources.decoding import DecoderName


class Save(StrEnum):
    """The same values as `outputs.results.Format`: Typer cannot take a list of literals."""

    mp4 = "mp4"
    tiled = "tiled"
    jsonl = "jsonl"
    csv = "csv"
    mot = "mot"


Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE",
        help="Video file, picture, folder, glob, numbered files (img_%03d.jpg), camera number, "
        "URL of a stream or file, or - for standard input.",
    ),
]
Demo = Annotated[bool, typer.Option("--demo", help="Use the two included videos of streets.")]
Url = Annotated[
    str | None,
    typer.Option(
        help="gRPC address of a Triton server, host:port. Several addresses, separated by commas, "
        "share the frames. By default, a server is started for the command."
    ),
]
ModelName = Annotated[str, typer.Option(help="Name of the ensemble.")]
Output = Annotated[Path, typer.Option(help="Folder for the results.")]
Saved = Annotated[
    list[Save] | None,
    typer.Option(help="Output to write; repeat the option for several. By default all."),
]
Summary = Annotated[
    Path | None,
    typer.Option(help="Also write the figures of the run to this file, as JSON."),
]
WarmUp = Annotated[
    float,
    typer.Option(
        min=0,
        help="Leave this many seconds at the start out of the figures, because throughput is lower "
        "while many cameras are being opened.",
    ),
]
Confidence = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        help="Leave out objects with a lower confidence. The server has a threshold of its own.",
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(
        help="Keep only these classes, by name or number: 'car,bus'. A name may contain commas."
    ),
]
Stride = Annotated[int, typer.Option(min=1, help="Take every Nth frame.")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Take at most this many frames of each source.")
]
Track = Annotated[
    bool, typer.Option(help="Track objects: give each the same number in all frames.")
]
ShowLabels = Annotated[bool, typer.Option(help="Write class names on the boxes.")]
ShowConfidence = Annotated[bool, typer.Option(help="Write confidences on the boxes.")]
Bitrate = Annotated[int, typer.Option(min=10_000, help="Bits per second of each video.")]
Downscale = Annotated[
    bool, typer.Option(help="Downscale frames to the network's input before sending.")
]
TransportName = Annotated[Transport, typer.Option(help="How frames are sent to the server.")]
Decoder = Annotated[
    DecoderName,
    typer.Option(help="Decoder of videos; 'auto' is the GPU if there is one, else the CPU."),
]
StreamIndex = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="FFmpeg's index of the stream to read in each video. By default the one that FFmpeg "
        "considers the best.",
    ),
]
Realtime = Annotated[
    bool,
    typer.Option(
        "--realtime", help="Play files in real time, like cameras: late frames are left out."
    ),
]
MaxAge = Annotated[
    float, typer.Option(min=0.01, help="Seconds after which a live frame is too old to be sent.")
]
StaleAfter = Annotated[
    float,
    typer.Option(
        min=0.5,
        max=3600,
        help="Seconds without a frame after which a camera is opened again.",
    ),
]
CameraPatience = Annotated[
    float,
    typer.Option(
        min=0,
        help="Seconds to wait for the first frame of a camera before that is an error. 'inf' waits "
        "forever.",
    ),
]
InFlight = Annotated[
    int, typer.Option(min=1, help="Most frames of each source that are sent but not answered.")
]
Batch = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Most frames in one request. By default 8 on a server with a GPU, else 1.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes that read the sources. By default chosen by the number of cores."
    ),
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")]
ServerPatience = Annotated[
    float,
    typer.Option(min=0, help="Seconds that files wait for a server that does not answer."),
]


def named(specs: list[str] | None, *, demo: bool) -> list[str]:
    """The sources on the command line, and the demo videos if `demo` is set.

    Raises:
        typer.BadParameter: there are none.
    """
    all_specs = [*(specs or ()), *(map(str, DEMO_VIDEOS) if demo else ())]
    if not all_specs:
        raise typer.BadParameter("no source is given: name a video or a camera, or use --demo")
    return all_specs
