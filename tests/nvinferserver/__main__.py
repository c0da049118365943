"""Run a deepstream-app configuration without DeepStream, and write the objects as KITTI text.

`python -m tests.nvinferserver clients/deepstream/dual_video.txt --output FOLDER` sends the files
in the configuration to a running Triton, and writes one text file per frame, as deepstream-app does
with `gie-kitti-output-dir`. `python -m tools.compare_kitti` compares the two.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import av
from yolostream.client.detector import DEFAULT_URL

from tools.command import one_line_errors

from .config import FILE, read_app
from .element import Element
from .frames import mux
from .kitti import write_kitti
from .requests import connect
from .surfaces import Surface


def replay(configuration: Path, folder: Path, *, url: str) -> None:
    """Write the KITTI text of every frame of every source into `folder`."""
    app = read_app(configuration)
    with ExitStack() as stack:
        sources = [_surfaces(uri, stack) for uri in app.uris]
        element = Element(stack.enter_context(connect(url)), app.infer, app.labels)
        folder.mkdir(parents=True, exist_ok=True)
        for muxed, found in element.detect(mux(sources, app.mux)):
            write_kitti(folder, source=muxed.source, number=muxed.number, found=found)


def _surfaces(uri: str, stack: ExitStack) -> Iterator[Surface]:
    video = stack.enter_context(av.open(uri.removeprefix(FILE)))
    return map(Surface.of, video.decode(video=0))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.nvinferserver", description=__doc__)
    parser.add_argument("configuration", type=Path, help="configuration of deepstream-app (INI)")
    parser.add_argument("--output", type=Path, required=True, help="folder for the KITTI text")
    parser.add_argument("--url", default=DEFAULT_URL, help="gRPC address of Triton, host:port")
    arguments = parser.parse_args(argv)
    with one_line_errors():
        replay(arguments.configuration, arguments.output, url=arguments.url)


if __name__ == "__main__":
    main()
