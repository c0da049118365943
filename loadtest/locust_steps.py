"""Finds the number of cameras that hold the bound, with locust.

Use it with `-f loadtest/locustfile.py,loadtest/locust_steps.py`. It adds a camera after each
`--step-seconds` until more than one frame in a hundred is late or lost. Then it removes that
camera, checks whether the others hold, and ends.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from locust import LoadTestShape, events
from locust.argument_parser import LocustArgumentParser

# Locust loads this file by its path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from loadtest.capacity import CPU_BOUND

SETTLE = 0.25
"""Share of a step that does not count. The server may still have frames of the step before."""

logger = logging.getLogger(__name__)


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """Add the option for the length of a step."""
    parser.add_argument(
        "--step-seconds", type=float, default=15.0, help="Seconds with each number of cameras."
    )


class CameraSteps(LoadTestShape):
    """Adds a camera in each step, and in the end removes the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.reset_time()

    def reset_time(self) -> None:
        """Begin with one camera."""
        super().reset_time()
        self._cameras = 1
        self._confirming = False
        self._began_s = 0.0
        self._counted: tuple[int, int] | None = None
        self._begin()

    def tick(self) -> tuple[int, float] | None:
        """Judge the present number of cameras; locust calls this every second."""
        assert self.runner is not None  # once it ticks
        options: Any = self.runner.environment.parsed_options
        seconds, total = self.get_run_time() - self._began_s, self.runner.stats.total
        if not total.num_requests:
            self._begin()  # The first camera is still on its way.
        elif self._counted is None:
            if seconds >= SETTLE * options.step_seconds:
                self._counted = total.num_requests, total.num_failures
        elif seconds >= options.step_seconds:
            frames_before, lost_before = self._counted
            frames, lost = total.num_requests - frames_before, total.num_failures - lost_before
            if self._is_found(holds=frames > 0 and lost <= CPU_BOUND.left_out * frames):
                return None
            self._begin()
        return self._cameras, float(self._cameras)

    def _begin(self) -> None:
        self._began_s, self._counted = self.get_run_time(), None

    def _is_found(self, *, holds: bool) -> bool:
        """Judge the step that ends, and choose the number of cameras of the next one."""
        logger.info("%d cameras %s", self._cameras, "hold" if holds else "do not hold")
        if holds and not self._confirming:
            self._cameras += 1
            return False
        if not holds:
            self._cameras -= 1
            self._confirming = True
        if holds or not self._cameras:
            logger.info("capacity: %d cameras", self._cameras)
            return True
        return False
