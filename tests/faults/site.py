"""A running service whose configuration is a file, and what it tells of itself."""

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

from loadtest.live.growth import Sample, sample
from loadtest.live.running import Running, running
from loadtest.live.scrape import Scrape

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TIMEOUT_S = 30.0
_LOOK_S = 0.5

Cameras = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Site:
    """A service.

    Attributes:
        name: Among other services.
        live: Its processes.
        file: Of its configuration.
        results: Folder of what it writes.
        cameras: Those that it always has.
    """

    name: str
    live: Running
    file: Path
    results: Path
    cameras: Cameras

    def configure(self, more: Cameras) -> None:
        """Have it watch these cameras besides its own."""
        self.write(_configuration(self.results, {**self.cameras, **more}))

    def write(self, text: str) -> None:
        """Put another file in the place of its configuration, as editors do."""
        written = self.file.with_suffix(".new")
        written.write_text(text)
        os.replace(written, self.file)

    def ask(self, path: str) -> Any:
        """What the API answers."""
        url = f"http://{self.live.address}/api/v1/{path}"
        with _DIRECT.open(url, timeout=_TIMEOUT_S) as answer:
            return json.load(answer)

    @property
    def is_misconfigured(self) -> bool:
        """Whether it says that its file is broken."""
        return any(one["kind"] == "configuration" for one in self.ask("service")["problems"])

    def done(self) -> dict[str, float]:
        """Frames whose objects are known, by camera."""
        return self.live.scrape().by_camera("frames_completed_total")

    def lines(self, what: str) -> dict[str, float]:
        """Lines that were `written`, or have `failed`, by camera."""
        return _lines(self.live.scrape(), what)

    def progress(self) -> dict[str, float]:
        """Frames that have come all the way, to the disk, by camera."""
        scrape = self.live.scrape()
        written = _lines(scrape, "written")
        done = scrape.by_camera("frames_completed_total")
        return {
            camera: min(done.get(camera, 0.0), written.get(camera, 0.0)) for camera in self.cameras
        }

    @property
    def worker(self) -> int | None:
        """The process that runs its cameras; None while it is being started."""
        children = psutil.Process(self.live.pid).children()
        return next((one.pid for one in children if _works(one)), None)

    def samples(self, at_s: float) -> Iterator[tuple[str, Sample]]:
        """What its processes have now, by their names."""
        for kind, pid in (("parent", self.live.pid), ("worker", self.worker)):
            if pid is not None:
                # It may be killed at any moment.
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
    """JSON is YAML."""
    content = {
        "outputs": {"folder": str(results)},
        "defaults": {"confidence": 0.25},
        "cameras": cameras,
    }
    return json.dumps(content, indent=1)


@contextlib.contextmanager
def site(name: str, cameras: Cameras, *, url: str, folder: Path, disk: Path) -> Iterator[Site]:
    """A service that asks the Triton at `url` and writes to a disk, until the block ends."""
    file, results = folder / f"{name}.yaml", disk / name
    file.write_text(_configuration(results, cameras))
    with running([file], url=url, log=folder / f"{name}.log") as live:
        live.wait_for_frames(len(cameras))
        yield Site(name, live, file, results, cameras)


def wait_until(happened: Callable[[], bool], what: str, *, patience_s: float) -> None:
    """Look again and again.

    Raises:
        TimeoutError: It does not happen.
    """
    deadline = time.monotonic() + patience_s
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience_s:g} s: {what}")
        time.sleep(_LOOK_S)
