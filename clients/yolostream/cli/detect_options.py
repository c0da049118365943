"""What `yolostream detect` can be told."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from yolostream.bundled import DEMO_VIDEOS
from yolostream.client.transport.choice import Transport
from yolostream.sources.decoding import DecoderName


class Save(StrEnum):
    """What is written, as `outputs.results.Format`: Typer takes no list of literals."""

    mp4 = "mp4"
    tiled = "tiled"
    jsonl = "jsonl"
    csv = "csv"
    mot = "mot"


Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE",
        help="Video file, picture, folder or glob of them, numbered files (img_%03d.jpg), camera "
        "number, URL of a stream or file, or - for standard input.",
    ),
]
Demo = Annotated[
    bool, typer.Option("--demo", help="Take the two videos of streets that come along.")
]
Url = Annotated[
    str | None,
    typer.Option(
        help="gRPC address of a Triton, host:port; several, separated by commas, share the frames. "
        "By default one is started here."
    ),
]
ModelName = Annotated[str, typer.Option(help="Name of the ensemble.")]
Output = Annotated[Path, typer.Option(help="Folder for the results.")]
Saved = Annotated[
    list[Save] | None,
    typer.Option(help="What to write; repeat it for several. By default everything."),
]
Summary = Annotated[
    Path | None,
    typer.Option(help="Write the figures of the run to this file too, as JSON."),
]
WarmUp = Annotated[
    float,
    typer.Option(
        min=0,
        help="Leave so many seconds out of the figures: while many cameras are opened, none is "
        "served as later.",
    ),
]
Confidence = Annotated[
    float,
    typer.Option(
        min=0, max=1, help="Leave objects below this out; the server does so below its own."
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(help="Only these, by name or number: 'car,bus'. A name may have commas in it."),
]
Stride = Annotated[int, typer.Option(min=1, help="Take every Nth frame.")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Take at most so many frames of each source.")
]
Track = Annotated[bool, typer.Option(help="Number the objects through time.")]
ShowLabels = Annotated[bool, typer.Option(help="Write names on the boxes.")]
ShowConfidence = Annotated[bool, typer.Option(help="Write confidences there.")]
Bitrate = Annotated[int, typer.Option(min=10_000, help="Bits per second of each video.")]
Downscale = Annotated[
    bool, typer.Option(help="Downscale frames to the network's input before sending.")
]
TransportName = Annotated[Transport, typer.Option(help="How frames travel to the server.")]
Decoder = Annotated[
    DecoderName, typer.Option(help="What decodes videos; 'auto' is the GPU where there is one.")
]
StreamIndex = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Which stream of each video, as FFmpeg counts them. By default the one that it takes "
        "for the best.",
    ),
]
Realtime = Annotated[
    bool,
    typer.Option(
        "--realtime", help="Play files at their own pace, as cameras: late frames are left out."
    ),
]
MaxAge = Annotated[
    float, typer.Option(min=0.01, help="Seconds until a live frame is too old to be sent.")
]
StaleAfter = Annotated[
    float,
    typer.Option(
        min=0.5,
        max=3600,
        help="Seconds without a frame after which a camera is opened again, as if it had broken.",
    ),
]
CameraPatience = Annotated[
    float,
    typer.Option(
        min=0,
        help="Seconds that a camera which has given no frame yet is tried for; then that is an "
        "error. 'inf' waits for ever.",
    ),
]
InFlight = Annotated[
    int, typer.Option(min=1, help="Frames of each source sent and not yet answered.")
]
Batch = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Frames of one request at most. By default 8 on a server with a GPU, else 1.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that feed the sources. By default what the cores allow."),
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")]
ServerPatience = Annotated[
    float,
    typer.Option(min=0, help="Seconds that files wait for a server that is being restarted."),
]


def named(specs: list[str] | None, *, demo: bool) -> list[str]:
    """All that was named on the command line, and the demo videos where they were asked for."""
    all_specs = [*(specs or ()), *(map(str, DEMO_VIDEOS) if demo else ())]
    if not all_specs:
        raise typer.BadParameter("name a video or a camera, or take --demo")
    return all_specs
