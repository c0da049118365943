"""Faults of a service's cameras, server, workers, disk and configuration."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rtsp_camera import Camera

from tests.faults.service import STEPS, Service
from tests.faults.site import Site, wait_until

AWAY_S = 3.0
HANGS_S = 7.0
"""Longer than the service waits for a frame of a camera."""
HURTS_S = 20.0
"""Seconds within which a fault of the disk must make a line fail. It is less than the 30 s after
which outputs try again, and would create the missing folder."""
FOLLOWS_S = 120.0
"""Seconds that a service may take to apply its configuration."""
GUEST = "guest"
"""A camera that is added and removed."""

Faults = dict[str, Callable[[], None]]
"""Functions that cause a fault, by its name; they raise `TimeoutError` if it has no effect."""


def faults(
    service: Service, *, hurt: Site, sites: Sequence[Site], camera: Camera, clip: Path, disk: Path
) -> Faults:
    """All faults.

    Args:
        service: The Triton that all sites use.
        hurt: The site whose worker is killed.
        sites: All sites.
        camera: The camera that all sites watch.
        clip: The video of the camera `GUEST`.
        disk: The disk that all sites write to.
    """
    return {
        "camera: unplugged": lambda: _unplug(camera),
        "camera: hangs": lambda: _hang(camera),
        **{f"server: {part}": _killing(service, part) for part in ("tritonserver", *STEPS)},
        "worker: killed": lambda: _kill_worker(hurt),
        "sink: disk full": lambda: _fill(disk, sites),
        "sink: folder away": lambda: _take_away(sites),
        "config: broken, a camera added, changed, removed": lambda: _reconfigure(sites, clip),
    }


def _unplug(camera: Camera) -> None:
    camera.stop()
    time.sleep(AWAY_S)
    camera.start()


def _hang(camera: Camera) -> None:
    camera.freeze()
    time.sleep(HANGS_S)
    camera.resume()


def _killing(service: Service, part: str) -> Callable[[], None]:
    return lambda: os.kill(service.processes(part)[0], signal.SIGKILL)


def _kill_worker(hurt: Site) -> None:
    pid = hurt.worker
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def _fill(disk: Path, sites: Sequence[Site]) -> None:
    ballast = disk / "ballast"
    before = [one.lines("failed") for one in sites]
    try:
        with ballast.open("wb", buffering=0) as file:
            _write_until_full(file)
        _wait_for_failures(sites, before)
    finally:
        ballast.unlink()


def _write_until_full(file: Any) -> None:
    for size in (1 << 20, 1 << 12):
        try:
            while file.write(bytes(size)):
                pass
        except OSError:
            # Smaller pieces may still fit.
            continue


def _take_away(sites: Sequence[Site]) -> None:
    before = [one.lines("failed") for one in sites]
    elsewhere = [one.results.with_suffix(".away") for one in sites]
    for one, away in zip(sites, elsewhere, strict=True):
        one.results.rename(away)
        # A file with the name of the folder prevents the service from creating it again.
        one.results.touch()
    try:
        _wait_for_failures(sites, before)
    finally:
        for one, away in zip(sites, elsewhere, strict=True):
            one.results.unlink()
            away.rename(one.results)


def _wait_for_failures(sites: Sequence[Site], before: Sequence[dict[str, float]]) -> None:
    for one, known in zip(sites, before, strict=True):
        wait_until(
            lambda one=one, known=known: _all_more(one.lines("failed"), known, one.cameras),
            f"lines of {one.name} are not written",
            patience_s=HURTS_S,
        )


def _all_more(now: dict[str, float], before: dict[str, float], names: Sequence[str]) -> bool:
    return all(now.get(name, 0.0) > before.get(name, 0.0) for name in names)


def _reconfigure(sites: Sequence[Site], clip: Path) -> None:
    """Write an invalid configuration, then add a camera, change it, and remove it."""
    guest = {"source": str(clip)}

    def follow(what: str, happened: Callable[[Site], bool]) -> None:
        for one in sites:
            wait_until(lambda one=one: happened(one), f"{one.name}: {what}", patience_s=FOLLOWS_S)

    for one in sites:
        one.write("cameras: [")
    follow("reports an invalid file", lambda one: one.is_misconfigured)
    for one in sites:
        one.configure({GUEST: guest})
    follow("runs another camera", lambda one: one.done().get(GUEST, 0.0) > 1)
    for one in sites:
        # This change makes the service open the camera again.
        one.configure({GUEST: {**guest, "track": False}})
    follow(
        "has changed the camera",
        lambda one: one.ask(f"cameras/{GUEST}")["settings"]["track"] is False,
    )
    done = {one.name: one.done()[GUEST] for one in sites}
    follow("runs the changed camera", lambda one: one.done()[GUEST] > done[one.name] + 1)
    for one in sites:
        one.configure({})
    follow(
        "has removed the camera", lambda one: GUEST not in one.done() and not one.is_misconfigured
    )
