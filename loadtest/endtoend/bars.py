"""What the figures come to, held against the bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loadtest.endtoend import peer
from loadtest.endtoend.most_cameras import AGE_P99_MS
from loadtest.gpu.rows import CAMERA_FPS, Bar

Figures = dict[str, Any]
"""As `loadtest.endtoend` collects them."""

_BASE_MB = 250.0
"""Memory of the client that is not counted by source."""


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        title: What is measured.
        bar: Where it has to be.
        value: Computes it from the figures; None where they lack it.
        asked: Whether that was to be measured; what was not has not failed.
    """

    title: str
    bar: Bar
    value: Callable[[Figures], float | None]
    asked: Callable[[Figures], bool] = lambda figures: True


def asked(figures: Figures) -> dict[str, Check]:
    """The checks for what was to be measured, by name."""
    return {name: check for name, check in CHECKS.items() if check.asked(figures)}


def values(figures: Figures) -> dict[str, float]:
    """What each check comes to, by its name in `CHECKS`; what was not measured is absent."""
    computed = {name: check.value(figures) for name, check in CHECKS.items()}
    return {name: value for name, value in computed.items() if value is not None}


def over_own_rate(figures: Figures, run: dict[str, Any]) -> float | None:
    """Frames per second of a run over what the server answers by itself."""
    own = figures.get("own_rate", {}).get("frames_per_s")
    return float(run["frames_per_s"] / own) if own and "frames_per_s" in run else None


def runs(figures: Figures, kind: str) -> list[dict[str, Any]]:
    """The runs of a kind that did not fail, by the faster decoder."""
    return [
        run
        for run in figures.get("runs", {}).values()
        if run["kind"] == kind and run["decoder"] == figures["decoders"][0] and "error" not in run
    ]


def _fastest(figures: Figures) -> dict[str, Any] | None:
    return max(runs(figures, "all_out"), key=lambda run: run["frames_per_s"], default=None)


def _all_out(figures: Figures) -> float | None:
    fastest = _fastest(figures)
    return None if fastest is None else over_own_rate(figures, fastest)


def _client_cpu_ms(figures: Figures) -> float | None:
    fastest = _fastest(figures)
    return None if fastest is None else float(fastest["client_cpu_ms"])


def _cameras(figures: Figures) -> float | None:
    most: int | None = figures.get("cameras", {}).get("most")
    return most


def _annotated(sources: int) -> Callable[[Figures], float | None]:
    def each(figures: Figures) -> float | None:
        rates = [
            run["frames_per_s"] / sources
            for run in runs(figures, "annotated")
            if run["sources"] == sources
        ]
        return float(max(rates)) if rates else None

    return each


def _peer_runs(figures: Figures) -> dict[str, dict[str, Any]]:
    """By number of sources; none where there was to be no peer."""
    peer_runs: dict[str, dict[str, Any]] = figures.get("peer", {}).get("runs", {})
    return peer_runs


def _over_peer(sources: int) -> Check:
    def asked(figures: Figures) -> bool:
        return str(sources) in _peer_runs(figures)

    def ratio(figures: Figures) -> float | None:
        theirs = _peer_runs(figures).get(str(sources), {}).get("frames_per_s")
        ours = [
            run["frames_per_s"] for run in runs(figures, "all_out") if run["sources"] == sources
        ]
        return float(max(ours) / theirs) if ours and theirs else None

    title = f"files as fast as they go over a one-process peer, {sources} sources"
    return Check(title, Bar("at least", 3), ratio, asked)


def _memory_mb(figures: Figures) -> float | None:
    usual = [run for run in runs(figures, "all_out") if run["workers"] is None]
    largest = max(usual, key=lambda run: run["sources"], default=None)
    if largest is None or not largest["memory_mb"]:
        return None
    beyond_mb: float = max(0.0, largest["memory_mb"] - _BASE_MB)
    return beyond_mb / int(largest["sources"])


CHECKS: dict[str, Check] = {
    "all_out": Check(
        "files as fast as they go, tracked, into JSON Lines: frames/s over the server's own",
        Bar("at least", 0.85),
        _all_out,
    ),
    "cameras": Check(
        f"sources at {CAMERA_FPS} fps, once they are open: none of their frames left out, p99 age "
        f"at most {AGE_P99_MS:g} ms",
        Bar("at least", 48, digits=0),
        _cameras,
    ),
    "client_cpu": Check(
        "processor time of the client a frame, in the fastest of these runs",
        Bar("at most", 3, " ms"),
        _client_cpu_ms,
    ),
    "annotated_1": Check(
        "one file into an annotated MP4", Bar("at least", 163, " frames/s", digits=0), _annotated(1)
    ),
    "annotated_2": Check(
        "two files into annotated MP4s, each",
        Bar("at least", 55, " frames/s", digits=0),
        _annotated(2),
    ),
    "memory": Check(
        f"memory of the client beyond {_BASE_MB:g} MB, a source, with the most sources",
        Bar("at most", 60, " MB", digits=0),
        _memory_mb,
    ),
    **{f"peer_{sources}": _over_peer(sources) for sources in peer.SOURCES},
}
