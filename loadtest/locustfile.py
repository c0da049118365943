"""Locust's users as cameras: `locust -f loadtest/locustfile.py --host 127.0.0.1:8001`.

Each user sends frames of a demo clip at its own rate, even if the server is late. A frame is a
request in locust's tables. Its response time counts from when the frame was due. It has failed if
it is late, was dropped by the camera, or got an error.
"""

from __future__ import annotations

import contextlib
import logging
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

# Locust loads this file by its path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from loadtest.cameras import ANSWERED, CameraProcess, CameraSettings, Record
from loadtest.errors import LoadTestError

logger = logging.getLogger(__name__)


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """Add the options of a camera, which locust's web page shows too."""
    parser.add_argument("--model", default="yolov7", help="Name of the ensemble.")
    parser.add_argument("--frames-per-second", type=float, default=10.0, help="Of each camera.")
    parser.add_argument("--bound-ms", type=float, default=200.0, help="After it, a frame is late.")


class CameraUser(User):
    """One camera. The cameras of one locust process share a process without greenlets."""

    cameras: CameraProcess
    numbers = count()

    @task
    def stream(self) -> None:
        """Run the camera until locust stops the user."""
        number = next(self.numbers)
        self.cameras.tell("start", number)
        try:
            Event().wait()
        finally:
            self.cameras.tell("stop", number)


@events.test_start.add_listener
def open_cameras(environment: Environment, **_: Any) -> None:
    """Connect for each run, because the web page may have changed the host."""
    if isinstance(environment.runner, MasterRunner):
        return
    options: Any = environment.parsed_options

    def fire(record: Record) -> None:
        latency_s = record.latency_s
        environment.events.request.fire(
            request_type="camera",
            name="frame",
            response_time=None if latency_s is None else 1000 * latency_s,
            response_length=0,
            exception=None if record.outcome == ANSWERED else record.outcome,
            context={},
        )

    def quit_after(code: int) -> None:
        if code and environment.runner is not None:
            logger.error("the cameras ended with code %d", code)
            environment.process_exit_code = code
            gevent.spawn(environment.runner.quit)

    settings = CameraSettings(
        url=environment.host or "127.0.0.1:8001",
        model=options.model,
        frames_per_second=options.frames_per_second,
        bound_s=options.bound_ms / 1000,
    )
    CameraUser.cameras = CameraProcess(settings, fire, quit_after)
    # The time of a run counts from here. `quit_after` handles a process that has ended.
    with contextlib.suppress(LoadTestError):
        CameraUser.cameras.wait_for("ready")


@events.test_stop.add_listener
def close_cameras(environment: Environment, **_: Any) -> None:
    """Count the last frames too."""
    if not isinstance(environment.runner, MasterRunner):
        CameraUser.cameras.close()
