"""Cameras in a process of their own: other programs give them no time, and their cost is their own.

Threads beside another program's work, or locust's greenlets, make a camera wait while that works:
ten cameras at 10 frames/s as greenlets dropped 9 to 22 of 600 frames that a server without work to
do answered; those in a process of their own dropped none.

Reads from stdin: `start NUMBER` and `stop NUMBER` of a camera, and the end of the file for all.
Writes JSON to stdout, line by line: `"ready"`, then of each frame a list of the fields of
`loadtest.camera.Record`, and `{"stopped": NUMBER}` when a camera's last frame is told.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from yolostream import Detector
from yolostream.pipeline.plan import IN_FLIGHT

from loadtest.camera import MAX_IN_FLIGHT, Camera, clip_frames
from tools.command import one_line_errors

_WRITE_EVERY_S = 0.2


def main() -> None:
    """Run cameras until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.camera_process")
    for option in ("--url", "--model", "--clip"):
        parser.add_argument(option, required=True)
    for option in ("--frames-per-second", "--bound-ms"):
        parser.add_argument(option, type=float, required=True)
    parser.add_argument("--in-flight", type=int, default=IN_FLIGHT)
    options = parser.parse_args()
    with (
        one_line_errors(),
        Detector(options.url, options.model, max_in_flight=MAX_IN_FLIGHT) as detector,
        _Lines() as lines,
    ):
        frames = clip_frames(options.clip, detector.model)

        def run(number: int, stop: threading.Event) -> None:
            Camera(
                detector,
                frames,
                frames_per_second=options.frames_per_second,
                bound_s=options.bound_ms / 1000,
                on_record=lambda record: lines.append(astuple(record)),
                number=number,
                in_flight=options.in_flight,
            ).run(stop)
            lines.append({"stopped": number})

        lines.append("ready")
        _obey(run)


def _obey(run: Callable[[int, threading.Event], None]) -> None:
    """Do what stdin says, until it ends."""
    running: dict[int, tuple[threading.Thread, threading.Event]] = {}
    try:
        for line in sys.stdin:
            command, number = line.split()
            if command == "start":
                stop = threading.Event()
                thread = threading.Thread(target=run, args=(int(number), stop))
                running[int(number)] = thread, stop
                thread.start()
            else:
                running[int(number)][1].set()
    finally:
        for _, stop in running.values():
            stop.set()
        for thread, _ in running.values():
            thread.join()


class _Lines:
    """Written a few times a second: a line at a time would wake the reader for each frame."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self.append = self._waiting.append
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._write)

    def __enter__(self) -> _Lines:
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._writer.join()

    def _write(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(_WRITE_EVERY_S)
            lines = [json.dumps(self._waiting.popleft()) for _ in range(len(self._waiting))]
            # A reader that is gone has closed stdin too.
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.writelines(f"{line}\n" for line in lines)
                sys.stdout.flush()


if __name__ == "__main__":
    main()
