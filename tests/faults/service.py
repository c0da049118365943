"""A real supervised server, with functions that pause it and wait for its recovery."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from yolostream import Detector
from yolostream.errors import YolostreamError
from yolostream.server import embedded
from yolostream.server.health import Health

ROOT = Path(__file__).parents[2]
STEPS = ("preprocess", "yolov7_fp16", "nms")
STUB = "triton_python_backend_stub"
_PATIENCE_S = 180.0
_LOOK_S = 0.1


class Service:
    """A server that its supervisor restarts."""

    def __init__(self, server: embedded.EmbeddedTriton) -> None:
        self._server = server
        self._restarts = 0
        self._seen = 0
        alive = [part for part in STEPS for _ in self.processes(part)]
        self._steps = collections.Counter(alive)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def http_url(self) -> str:
        return self._server.http_url

    @property
    def health(self) -> Health:
        return self._server.health()

    def processes(self, part: str) -> list[int]:
        """The processes of a part: `tritonserver`, the name of a step, or `group` for all."""
        server = psutil.Process(self._server.process.pid)
        if part == "tritonserver":
            return [server.pid]
        stubs = {child.pid: _command(child) for child in server.children()}
        if part == "group":
            return [server.pid, *(pid for pid, command in stubs.items() if command)]
        return [pid for pid, command in stubs.items() if f"/{part}/" in command]

    def pause(self, part: str, seconds: float) -> None:
        """Suspend one process of a part, or all of the group, and resume it."""
        found = self.processes(part)
        stopped = found if part == "group" else found[:1]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def missing(self) -> list[str]:
        """The parts that have died: `tritonserver`, or steps."""
        if self._server.process.poll() is not None:
            return ["tritonserver"]
        alive = [part for part in STEPS for _ in self.processes(part)]
        return sorted((self._steps - collections.Counter(alive)).elements())

    def is_whole(self) -> bool:
        return not self.missing()

    def was_lost(self) -> bool:
        """Whether it has died or restarted since the last recovery."""
        return not self.is_whole() or self.health.restarts > self._restarts

    def new_pause_lines(self) -> list[str]:
        """The log lines of steps about pauses since the last call."""
        lines = [
            line for line in self._server.log.read_text().splitlines() if " was paused" in line
        ]
        seen, self._seen = self._seen, len(lines)
        return lines[seen:]

    def wait_until_healthy(self, answers: Callable[[], bool]) -> bool:
        """Wait until all processes run and frames are answered; return whether it restarted."""
        deadline = time.monotonic() + _PATIENCE_S
        while not (self.is_whole() and answers()):
            if time.monotonic() > deadline:
                raise SystemExit(f"the server was not brought back: {self.health}")
            # More frequent checks would take CPU time from the server that starts.
            time.sleep(_LOOK_S)
        before, self._restarts = self._restarts, self.health.restarts
        return self._restarts > before


def _command(process: psutil.Process) -> str:
    """The command of a process; empty for a zombie, which a dead stub becomes."""
    try:
        command = " ".join(process.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return ""
    return command if STUB in command else ""


@contextlib.contextmanager
def serving() -> Iterator[Service]:
    with embedded.serve(
        ROOT / "model_repository",
        environment=ROOT / ".venv-server",
        models=["yolov7"],
        profile="cpu",
    ) as server:
        yield Service(server)


def new_detector(url: str, **options: object) -> Detector:
    """Make a detector; try again while the server is starting."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return Detector(url, **options)  # type: ignore[arg-type]
        except YolostreamError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
