"""A real server that may die: how it is paused, and how it is started again."""

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

ROOT = Path(__file__).parents[2]
STEPS = ("preprocess", "yolov7_fp16", "nms")
STUB = "triton_python_backend_stub"
_PATIENCE_S = 60.0


class Service:
    """One server on one port, started again by `heal` where it has died or stays sick."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()
        self._ports = embedded.Ports()
        self._start()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def http_url(self) -> str:
        return self._server.http_url

    def processes(self, part: str) -> list[int]:
        """`tritonserver`, the stubs of a step by its name, or `group`: all of them."""
        server = psutil.Process(self._server.process.pid)
        if part == "tritonserver":
            return [server.pid]
        stubs = {child.pid: _command(child) for child in server.children()}
        if part == "group":
            return [server.pid, *(pid for pid, command in stubs.items() if command)]
        return [pid for pid, command in stubs.items() if f"/{part}/" in command]

    def pause(self, part: str, seconds: float) -> None:
        """Stop one process of a part, or all of the group, and let it go on."""
        found = self.processes(part)
        stopped = found if part == "group" else found[:1]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def missing(self) -> list[str]:
        """Parts that have died: `tritonserver`, or the steps of stubs."""
        if self._server.process.poll() is not None:
            return ["tritonserver"]
        alive = [part for part in STEPS for _ in self.processes(part)]
        return sorted((self._steps - collections.Counter(alive)).elements())

    def is_whole(self) -> bool:
        return not self.missing()

    def said(self) -> list[str]:
        """What the steps say of pauses."""
        return [line for line in self._server.log.read_text().splitlines() if " was paused" in line]

    def heal(self, answers: Callable[[], bool]) -> bool:
        """Start the server again unless it is whole and answers; say whether that was necessary.

        The one place that does what a supervisor would do.
        """
        if self.is_whole() and answers():
            return False
        # A server that has lost a step does not end by itself within its time.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.process.pid, signal.SIGKILL)
        self._running.close()
        self._start()
        return True

    def close(self) -> None:
        self._running.close()

    def _start(self) -> None:
        self._server = self._running.enter_context(
            embedded.serve(
                ROOT / "model_repository",
                environment=ROOT / ".venv-server",
                models=["yolov7"],
                profile="cpu",
                ports=self._ports,
            )
        )
        self._ports = self._server.ports
        alive = [part for part in STEPS for _ in self.processes(part)]
        self._steps = collections.Counter(alive)


def _command(process: psutil.Process) -> str:
    """Of a stub that lives; a dead one stays as a zombie."""
    try:
        command = " ".join(process.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return ""
    return command if STUB in command else ""


@contextlib.contextmanager
def serving() -> Iterator[Service]:
    service = Service()
    try:
        yield service
    finally:
        service.close()


def new_detector(url: str, **options: object) -> Detector:
    """A detector; a server that has just been started may need another attempt."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return Detector(url, **options)  # type: ignore[arg-type]
        except YolostreamError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
