"""Cameras in a process of their own, for a program that cannot give them threads.

Locust makes greenlets of threads: a camera there waits while another user or the web page works.
Ten cameras at 10 frames/s, gRPC made ready for greenlets, dropped 9 to 22 of 600 frames that a
server without work to do answered; those in a process of their own dropped none.

Reads from stdin: `start NUMBER` and `stop NUMBER` of a camera, and the end of the file for all.
Writes to stdout a line a frame: its latency in milliseconds, `nan` without an answer, and where it
was not answered within the bound its outcome, as `loadtest.camera.Record` has them.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable

from yolostream import Detector

from loadtest.camera import ANSWERED, MAX_IN_FLIGHT, Camera, Record, clip_frames
from tools.command import one_line_errors


def main() -> None:
    """Run cameras until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.camera_process")
    for option in ("--url", "--model", "--clip"):
        parser.add_argument(option, required=True)
    for option in ("--frames-per-second", "--bound-ms"):
        parser.add_argument(option, type=float, required=True)
    options = parser.parse_args()
    with (
        one_line_errors(),
        Detector(options.url, options.model, max_in_flight=MAX_IN_FLIGHT) as detector,
    ):
        frames = clip_frames(options.clip, detector.model)
        _serve(
            lambda number: Camera(
                detector,
                frames,
                frames_per_second=options.frames_per_second,
                bound_s=options.bound_ms / 1000,
                on_record=_report,
                number=number,
            )
        )


def _serve(camera: Callable[[int], Camera]) -> None:
    """Obey stdin."""
    running: dict[int, tuple[threading.Thread, threading.Event]] = {}
    for line in sys.stdin:
        command, number = line.split()
        if command == "start":
            stop = threading.Event()
            thread = threading.Thread(target=camera(int(number)).run, args=(stop,))
            running[int(number)] = thread, stop
            thread.start()
        else:
            running[int(number)][1].set()
    for _, stop in running.values():
        stop.set()
    for thread, _ in running.values():
        thread.join()


def _report(record: Record) -> None:
    latency_s = float("nan") if record.latency_s is None else record.latency_s
    outcome = "" if record.outcome == ANSWERED else record.outcome
    # One call, for cameras speak at the same time.
    sys.stdout.write(f"{1000 * latency_s:.1f} {outcome}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
