"""A running service with a configuration file, and its figures."""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from loadtest.live.running import Running, running
from loadtest.live.scrape import Scrape
from tests.faults.growth import Sample, sample

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TIMEOUT_S = 30.0
_LOOK_S = 0.5

Cameras = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Site:
    """A running service.

    Attributes:
        name: Its name, which differs from those of other services.
        live: Its processes.
        file: Its configuration file.
        results: The folder of its results.
        cameras: The cameras that every configuration contains.
    """

    name: str
    live: Running
    file: Path
    results: Path
    cameras: Cameras

    def configure(self, more: Cameras) -> None:
        """Write a configuration with these cameras in addition to its own."""
        self.write(_configuration(self.results, {**self.cameras, **more}))

    def write(self, text: str) -> None:
        """Replace the configuration file atomically, as editors do."""
        written = self.file.with_suffix(".new")
        written.write_text(text)
        os.replace(written, self.file)

    def ask(self, path: str) -> Any:
        """The API's answer for a path below /api/v1/."""
        url = f"http://{self.live.address}/api/v1/{path}"
        with _DIRECT.open(url, timeout=_TIMEOUT_S) as answer:
            return json.load(answer)

    @property
    def is_misconfigured(self) -> bool:
        """Whether the service reports an invalid configuration."""
        return any(one["kind"] == "configuration" for one in self.ask("service")["problems"])

    def done(self) -> dict[str, float]:
        """Frames that were completed, by camera."""
        return self.live.scrape().by_camera("frames_completed_total")

    def lines(self, what: str) -> dict[str, float]:
        """Lines that were `written` or `failed`, as `what` says, by camera."""
        return _lines(self.live.scrape(), what)

    def progress(self) -> dict[str, float]:
        """Frames that were completed and written, by camera."""
        scrape = self.live.scrape()
        written = _lines(scrape, "written")
        done = scrape.by_camera("frames_completed_total")
        return {
            camera: min(done.get(camera, 0.0), written.get(camera, 0.0)) for camera in self.cameras
        }

    @property
    def worker(self) -> int | None:
        """The process id of its worker; None while it is being started."""
        children = psutil.Process(self.live.pid).children()
        return next((one.pid for one in children if _works(one)), None)

    def samples(self, at_s: float) -> Iterator[tuple[str, Sample]]:
        """Samples of its processes, with their names."""
        for kind, pid in (("parent", self.live.pid), ("worker", self.worker)):
            if pid is not None:
                # The process may be killed at any moment.
                with contextlib.suppress(psutil.NoSuchProcess):
                    yield f"{self.name} {kind}", sample(pid, at_s)


def _lines(scrape: Scrape, what: str) -> dict[str, float]:
    found = scrape.values.get(f"sink_{what}_total", {})
    by_label = [(dict(labels), count) for labels, count in found.items()]
    return {labels["camera"]: count for labels, count in by_label if labels["sink"] == "jsonl"}


def _works(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return "spawn_main" in " ".join(process.cmdline())
    return False


def _configuration(results: Path, cameras: Cameras) -> str:
    """The configuration as JSON, which is valid YAML."""
    content = {
        "outputs": {"folder": str(results)},
        "defaults": {"confidence": 0.25},
        "cameras": cameras,
    }
    return json.dumps(content, indent=1)


@contextlib.contextmanager
def site(name: str, cameras: Cameras, *, url: str, folder: Path, disk: Path) -> Iterator[Site]:
    """Run a service that uses the Triton at `url` and writes to `disk`, until the block ends."""
    file, results = folder / f"{name}.yaml", disk / name
    file.write_text(_configuration(results, cameras))
    with running([file], url=url, log=folder / f"{name}.log") as live:
        live.wait_for_frames(len(cameras))
        yield Site(name, live, file, results, cameras)


def wait_until(happened: Callable[[], bool], what: str, *, patience_s: float) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: It does not hold within `patience_s` seconds.
    """
    deadline = time.monotonic() + patience_s
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience_s:g} s: {what}")
        time.sleep(_LOOK_S)
