"""Measure how `yolostream detect` handles camera failures.

    PYTHONPATH=tests python -m tests.faults.cameras

Prints three figures: how long it takes to notice a frozen camera, how long after a fault the next
row is written, and how much throughput other cameras lose while one has failed. The exit code is 1
if a figure exceeds its limit.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from clips import steps, write_clip
from detecting_cameras import Watched, detecting
from fault_proxy import FaultProxy, fault_proxy
from instant import serve_instant
from rtsp_camera import Camera, rtsp_camera

LIMIT_S = 5.0
"""Default timeout of the watchdog."""
BACK_BAR_S, NOTICED_BAR_S, COST_BAR = 3.0, 1.0, 0.02
RATE = 15
OTHERS = 3
NETWORK_FAULTS = ("refuse", "close", "freeze", "half-open", "silent")


@contextlib.contextmanager
def running(
    folder: Path, server_url: str, clip: Path
) -> Iterator[tuple[Watched, Camera, FaultProxy]]:
    """Run a camera behind a fault proxy, one that can be switched off, and some without faults."""
    folder.mkdir()
    others = {f"other{n}": clip for n in range(OTHERS)}
    with (
        rtsp_camera({"cam": clip}) as camera,
        rtsp_camera({"plug": clip}) as plug,
        rtsp_camera(others) as rest,
        fault_proxy(camera.url) as proxy,
        detecting(folder, server_url, proxy.url, plug.url, *rest.urls.values()) as run,
    ):
        run.wait_for_frames(2 * RATE)
        yield run, plug, proxy


def comes_back(
    run: Watched, name: str, fault: Callable[[], None], mend: Callable[[], None], away_s: float
) -> float:
    """Seconds from the end of a fault of a camera to its next row."""
    fault()
    time.sleep(away_s)
    before = run.count(name)
    mend()
    mended_at = time.monotonic()
    while run.count(name) == before:
        assert time.monotonic() < mended_at + 120, run.log
        time.sleep(0.01)
    took_s = time.monotonic() - mended_at
    run.wait_for_frames(12 * RATE, name)
    return took_s


def faults(plug: Camera, proxy: FaultProxy) -> Iterator[tuple[str, str, Callable, Callable]]:
    """The faults: a description, the name of the camera, and functions that begin and end it."""
    yield "its plug is pulled", "plug", plug.stop, plug.start
    for mode in NETWORK_FAULTS:
        yield (
            f"network: {mode}",
            "cam",
            lambda mode=mode: fail(proxy, mode),
            lambda: setattr(proxy, "mode", "forward"),
        )


def fail(proxy: FaultProxy, mode: str) -> None:
    """Begin a network fault that affects open and new connections."""
    if mode == "silent":
        # This mode alone does not affect open connections.
        proxy.mode = "close"
    proxy.mode = mode


def is_noticed(run: Watched, proxy: FaultProxy) -> float:
    """Seconds from a freeze until the camera is logged as stale."""
    proxy.mode = "freeze"
    frozen_at = time.monotonic()
    stale_at = run.wait_for("cam: live -> stale", since=frozen_at)
    proxy.mode = "forward"
    run.wait_for_frames(3 * RATE)
    return stale_at - frozen_at


def rates(run: Watched, seconds: float) -> list[float]:
    """Rows per second of each of the other cameras."""
    names = [f"other{n}" for n in range(OTHERS)]
    before, started = [run.count(name) for name in names], time.monotonic()
    time.sleep(seconds)
    passed_s = time.monotonic() - started
    return [(run.count(n) - b) / passed_s for n, b in zip(names, before, strict=True)]


def costs(run: Watched, proxy: FaultProxy, seconds: float) -> dict[str, float]:
    """The fraction of throughput that the other cameras lose while one has failed, by its fault."""
    well = sum(rates(run, seconds))
    lost = {}
    for mode in NETWORK_FAULTS:
        fail(proxy, mode)
        lost[mode] = 1 - sum(rates(run, seconds)) / well
        proxy.mode = "forward"
        run.wait_for_frames(RATE)
    return lost


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.cameras", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--outages", type=float, nargs="+", default=[5.0, 30.0])
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="length of each measurement; 0 skips them"
    )
    options = parser.parse_args()
    missed: list[str] = []

    def tell(what: str, figures: list[float], bar: float, unit: str) -> None:
        missed.extend([what] if max(figures) > bar else [])
        shown = ", ".join(f"{figure:.3g}" for figure in figures)
        print(f"{what}: {shown} {unit} (bar {bar:g})", flush=True)

    with tempfile.TemporaryDirectory() as temporary, serve_instant() as server:
        folder = Path(temporary)
        clip = write_clip(folder / "cam.mp4", steps(15), rate=RATE)
        with running(folder / "run", server.url, clip) as (run, plug, proxy):
            noticed = [is_noticed(run, proxy) for _ in range(options.rounds)]
            tell("a freeze is noticed after", noticed, LIMIT_S + NOTICED_BAR_S, "s")
            lost_by = costs(run, proxy, options.seconds) if options.seconds else {}
            for mode, lost in lost_by.items():
                tell(
                    f"one camera dead ({mode}) costs the others", [lost], COST_BAR, "of their rate"
                )
            for away_s in options.outages:
                for what, name, fault, mend in faults(plug, proxy):
                    back = [
                        comes_back(run, name, fault, mend, away_s) for _ in range(options.rounds)
                    ]
                    tell(f"back after {away_s:g} s ({what})", back, BACK_BAR_S, "s")
    print(f"missed: {', '.join(missed) or 'nothing'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
