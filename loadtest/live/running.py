"""`yolostream run` in a process of its own."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import LoadTestError
from loadtest.live.scrape import Scrape, scraped
from loadtest.processes import cpu_s, family, started
from loadtest.repository import ENSEMBLE

_START_S = 120.0
_LOOK_S = 0.2
_SCRAPE_EVERY_S = 5.0
"""As Prometheus does."""


@dataclass(frozen=True)
class Setting:
    """How a figure is measured."""

    url: str
    """gRPC address of the server."""
    model: str
    """Name of the ensemble."""
    on_gpu: bool
    seconds: float
    """Length of each window."""
    raw: Path
    """Folder for logs and clips."""

    def running(
        self, cameras: Sequence[Path], *, name: str
    ) -> contextlib.AbstractContextManager[Running]:
        """Run a service until the block ends; its log is `name.log` in `raw`."""
        return running(cameras, url=self.url, model=self.model, log=self.raw / f"{name}.log")


@dataclass(frozen=True)
class Running:
    """A service."""

    address: str
    """Of the page, `host:port`."""
    pid: int
    """Of its parent process."""
    log: Path
    """File of its output."""

    def scrape(self) -> Scrape:
        """Its metrics now."""
        return scraped(self.address)

    def cpu_s(self) -> float:
        """Processor time of parent and workers so far, in seconds."""
        return cpu_s(family(self.pid))

    def wait_for_frames(self, cameras: int, *, frames: int = 5) -> None:
        """Wait until `frames` of each of so many cameras are completed."""
        deadline = time.monotonic() + _START_S
        while True:
            done = self.scrape().by_camera("frames_completed_total")
            if sum(count >= frames for count in done.values()) >= cameras:
                return
            if time.monotonic() > deadline:
                raise LoadTestError(f"only {done} came in {_START_S:g} s: see {self.log}")
            time.sleep(_LOOK_S)

    def window(self, seconds: float) -> Scrape:
        """What happens in the next seconds, during which the service is scraped as usual."""
        before = self.scrape()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SCRAPE_EVERY_S))
            after = self.scrape()
        return after.since(before)


@contextlib.contextmanager
def running(
    cameras: Sequence[str | Path], *, url: str, log: Path, model: str = ENSEMBLE
) -> Iterator[Running]:
    """Run a service until the block ends.

    Args:
        cameras: Addresses, or files, which play like cameras.
        url: gRPC address of its Triton.
        log: File for its output.
        model: Name of the ensemble.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    options = ["--url", url, "--model", model, "--listen", "127.0.0.1:0"]
    command = [sys.executable, "-m", "yolostream", "run", *map(str, cameras), *options]
    with log.open("w") as file, started(command, file) as process:
        yield Running(_address(process, log), process.pid, log)


def _address(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://(\S+:\d+)", log.read_text()):
            return found[1]
        time.sleep(_LOOK_S)
    raise LoadTestError(f"the service did not start: see {log}")
