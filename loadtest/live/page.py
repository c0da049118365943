"""How long somebody who opens the page waits for the first moving picture."""

from __future__ import annotations

from statistics import median
from typing import Any

from loadtest.errors import LoadTestError
from loadtest.live import clips
from loadtest.live.running import Setting, running

OPENINGS = 10
BAR_S = 2.0
"""Of the slowest."""

_FIRST_MOVING_S = """
const done = arguments[0];
(function look() {
  const video = document.querySelector("video");
  // The second one: it moves.
  if ((video?.getVideoPlaybackQuality().totalVideoFrames ?? 0) >= 2) done(performance.now() / 1000);
  else setTimeout(look, 5);
})();
"""
"""Seconds since the page began to be fetched."""


def measure(setting: Setting) -> dict[str, Any]:
    """Open the page of one camera of 1280x720 at 30 frames/s again and again.

    Nobody watches in between, so each opening has the video begun anew.

    Returns:
        `model`; `seconds` of each opening until the second picture was shown; their `median` and
        `slowest`; and the `bar` of the slowest.

    Raises:
        LoadTestError: The tests' way to drive a browser is not there.
    """
    try:
        from chromium import chromium
    except ImportError as error:
        raise LoadTestError(
            f"no browser can be driven ({error}): set PYTHONPATH=tests, and install Debian's "
            "chromium and chromium-driver"
        ) from error
    with (
        setting.serving() as target,
        running(
            [clips.CLIPS[0]], url=target.url, model=setting.model, log=setting.raw / "page.log"
        ) as service,
        chromium() as open_window,
    ):
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
        "bar": BAR_S,
    }
