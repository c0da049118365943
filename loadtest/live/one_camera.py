"""What is measured with one camera: the age of its frames, viewers, and the page."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from loadtest.clips import CLIPS, slower
from loadtest.errors import LoadTestError
from loadtest.live.running import Running, Setting
from loadtest.live.scrape import Scrape

RATE = 5
"""Frames per second of the camera whose age is measured."""
AGE_BAR_MS = 400.0
_AGE_WARM_UP_FRAMES = 15

VIEWERS = (0, 1, 20)
VIEWER_BAR = 0.15
"""Of a core, for one viewer."""
_VIEWERS_WARM_UP_FRAMES = 60
_FIRST_VIDEO_S = 30.0

OPENINGS = 10
OPENING_BAR_S = 2.0
"""For the slowest opening."""
_FIRST_MOVING_S = """
const done = arguments[0];
(function look() {
  const video = document.querySelector("video");
  // With its second picture, the video moves.
  if ((video?.getVideoPlaybackQuality().totalVideoFrames ?? 0) >= 2) done(performance.now() / 1000);
  else setTimeout(look, 5);
})();
"""
"""Returns the seconds since the page began to be fetched."""


def age(setting: Setting) -> dict[str, Any]:
    """Measure how old frames are when their objects are known.

    Returns:
        `frames_per_s`, `frames`, `dropped`, `age_ms` with `p50` and `p99`, and the `bar_ms` of the
        p99.
    """
    setting.raw.mkdir(parents=True, exist_ok=True)
    clip = slower(CLIPS[0], setting.raw / f"{RATE}-fps.mp4", rate=RATE)
    with setting.running([clip], name="age") as service:
        service.wait_for_frames(1, frames=_AGE_WARM_UP_FRAMES)
        seen = service.window(setting.seconds)
    return {
        "frames_per_s": RATE,
        "frames": seen.total("frames_completed_total"),
        "dropped": seen.total("frames_dropped_total"),
        "age_ms": seen.ages_ms(),
        "bar_ms": AGE_BAR_MS,
    }


def viewers(setting: Setting) -> dict[str, Any]:
    """Measure what no viewer, one and many cost, of a camera of 1280x720 at 30 frames/s.

    Returns:
        `model`; `runs` by number of viewers, with `frames_per_s` of the camera, `cores` of parent
        and worker, `worker_cores`, and `pieces_per_s` of video that each viewer received at least;
        `one_viewer` and `many_viewers`, the cores in addition to no viewer; `encoding_ratio`, the
        worker's cost of many viewers over that of one, which is 1 if the video is encoded once;
        and the `bar` of one viewer.
    """
    runs = {}
    with setting.running([CLIPS[0]], name="viewers") as service:
        service.wait_for_frames(1, frames=_VIEWERS_WARM_UP_FRAMES)
        for number in VIEWERS:
            with _watching(service, number) as pieces:
                before = list(pieces)
                seen = service.window(setting.seconds)
                received = [now - then for now, then in zip(pieces, before, strict=True)]
            runs[str(number)] = _cost(seen, setting.seconds, min(received, default=0))
    none, one, many = runs.values()
    encoding = [run["worker_cores"] - none["worker_cores"] for run in (one, many)]
    return {
        "model": setting.model,
        "runs": runs,
        "one_viewer": round(one["cores"] - none["cores"], 3),
        "many_viewers": round(many["cores"] - none["cores"], 3),
        "encoding_ratio": round(encoding[1] / max(0.001, encoding[0]), 2),
        "bar": VIEWER_BAR,
    }


def _cost(seen: Scrape, seconds: float, pieces: int) -> dict[str, float]:
    parent, worker = (
        seen.total(f"{who}_cpu_seconds_total") / seconds for who in ("process", "worker")
    )
    return {
        "frames_per_s": round(seen.total("frames_completed_total") / seconds, 1),
        "cores": round(parent + worker, 3),
        "worker_cores": round(worker, 3),
        "pieces_per_s": round(pieces / seconds, 1),
    }


@contextlib.contextmanager
def _watching(service: Running, number: int) -> Iterator[list[int]]:
    """Watch the camera with so many viewers inside the block.

    The viewers are threads of this process, whose processor time does not count.

    Yields:
        The pieces of video that each viewer has received so far.
    """
    (camera,) = service.scrape().by_camera("camera_up")
    pieces = [0] * number

    def watch(socket: ClientConnection, viewer: int) -> None:
        socket.send(json.dumps({"video": [camera]}))
        with contextlib.suppress(ConnectionClosed):
            for message in socket:
                # Text messages describe the video.
                pieces[viewer] += isinstance(message, bytes)

    with contextlib.ExitStack() as sockets:
        for viewer in range(number):
            socket = sockets.enter_context(
                connect(
                    f"ws://{service.address}/api/v1/live",
                    max_size=None,
                    compression=None,
                    proxy=None,
                )
            )
            threading.Thread(target=watch, args=(socket, viewer), daemon=True).start()
        deadline = time.monotonic() + _FIRST_VIDEO_S
        while not all(pieces):
            if time.monotonic() > deadline:
                raise LoadTestError(f"{number} viewers get no video: see {service.log}")
            time.sleep(0.05)
        yield pieces


def page(setting: Setting) -> dict[str, Any]:
    """Measure how long the first moving picture takes after the page is opened, in Chromium.

    The camera has 1280x720 at 30 frames/s. Nobody watches between two openings, so each of them
    starts the video again.

    Returns:
        `model`; `seconds` of each opening; their `median` and `slowest`; and the `bar` of the
        slowest.
    """
    try:
        from chromium import chromium
    except ImportError as error:
        raise LoadTestError(
            f"no browser can be driven ({error}): set PYTHONPATH=tests, and install Debian's "
            "chromium and chromium-driver"
        ) from error
    with setting.running([CLIPS[0]], name="page") as service, chromium() as open_window:
        browser = open_window().driver
        service.wait_for_frames(1)
        seconds = []
        for _ in range(OPENINGS):
            browser.get("about:blank")
            browser.get(f"http://{service.address}/")
            seconds.append(round(float(browser.execute_async_script(_FIRST_MOVING_S)), 3))
    return {
        "model": setting.model,
        "seconds": seconds,
        "median": round(median(seconds), 3),
        "slowest": max(seconds),
        "bar": OPENING_BAR_S,
    }
