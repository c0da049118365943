"""Locust's users as cameras: `locust -f loadtest/locustfile.py --host 127.0.0.1:8001`.

Each user sends frames of a demo clip at its own rate, whatever the server does. A frame is a
request in locust's tables: its response time counts from when the camera took it, and it has
failed where there was no answer within the bound: late, dropped by the camera, or the error.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust import User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner

# Nothing of ours is imported: locust's clock stands still meanwhile, and a run would end early.

REPOSITORY = Path(__file__).parents[1]

logger = logging.getLogger(__name__)


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """What a camera is; locust's web page asks for the same."""
    parser.add_argument("--model", default="yolov7", help="Name of the ensemble.")
    parser.add_argument("--clip", default="mb1_1", help="Demo clip that the cameras show.")
    parser.add_argument("--frames-per-second", type=float, default=10.0, help="Of each camera.")
    parser.add_argument("--bound-ms", type=float, default=200.0, help="After it, a frame is late.")


class Cameras:
    """All cameras of one locust process, in a process without greenlets."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._numbers = count()
        options = environment.parsed_options
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "loadtest.camera_process"),
                *("--url", environment.host or "127.0.0.1:8001"),
                *("--model", options.model),
                *("--clip", options.clip),
                *("--frames-per-second", str(options.frames_per_second)),
                *("--bound-ms", str(options.bound_ms)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            # Ctrl-C is for locust, which then stops the cameras.
            start_new_session=True,
        )
        self._reader = gevent.spawn(self._read)

    def start(self) -> int:
        """Start one more camera, and return its number."""
        number = next(self._numbers)
        self._tell(f"start {number}")
        return number

    def stop(self, number: int) -> None:
        """Stop one."""
        self._tell(f"stop {number}")

    def close(self) -> None:
        """Stop all, and wait until every frame is counted."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._reader.join()

    def _tell(self, line: str) -> None:
        # A process that is gone has told its reader why.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        for line in self._process.stdout:
            said = json.loads(line)
            if isinstance(said, list):
                self._fire(*said)
        if code := self._process.wait():
            logger.error("the cameras ended with code %d", code)
            self._environment.process_exit_code = code
            gevent.spawn(self._environment.runner.quit)

    def _fire(
        self,
        scheduled_s: float,
        _sent_s: float | None,
        answered_s: float | None,
        outcome: str,
        _message: str | None,
    ) -> None:
        """Tell locust of a frame, in the order of the fields of `loadtest.camera.Record`."""
        answered = outcome in ("answered", "late")
        self._environment.events.request.fire(
            request_type="camera",
            name="frame",
            response_time=1000 * (answered_s - scheduled_s) if answered else None,
            response_length=0,
            exception=None if outcome == "answered" else outcome,
            context={},
        )


class CameraUser(User):
    """One camera."""

    cameras: Cameras

    @task
    def stream(self) -> None:
        """Run the camera until locust takes the user away."""
        number = self.cameras.start()
        try:
            Event().wait()
        finally:
            self.cameras.stop(number)


@events.test_start.add_listener
def open_cameras(environment: Environment, **_: Any) -> None:
    """Connect anew for each run: the web page may have changed the host."""
    if not isinstance(environment.runner, MasterRunner):
        CameraUser.cameras = Cameras(environment)


@events.test_stop.add_listener
def close_cameras(environment: Environment, **_: Any) -> None:
    """Count the last frames too."""
    if not isinstance(environment.runner, MasterRunner):
        CameraUser.cameras.close()
