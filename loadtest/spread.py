"""Turns of `loadtest.price` summed up: what is typical, and how far the turns lie apart."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

RATIOS = {
    "ensemble_over_bare": ("ensemble", "bare"),
    "ensemble_grpc_over_bare": ("ensemble_grpc", "bare"),
    "network_over_bare": ("network", "bare"),
    "network_grpc_over_bare": ("network_grpc", "bare"),
    "sessions_over_bare": ("bare_sessions", "bare"),
    "ensemble_over_sessions": ("ensemble", "bare_sessions"),
    "ensemble_over_network": ("ensemble", "network"),
    "ensemble_grpc_over_client_side": ("ensemble_grpc", "client_side"),
    "one_camera_over_usual": ("one_camera", "usual"),
    "one_at_a_time_over_usual": ("one_at_a_time", "usual"),
    "unbatched_over_ensemble": ("unbatched", "ensemble"),
    "joined_over_ensemble": ("joined", "ensemble"),
}
"""Frames per second of one way over those of another."""

Turns = list[dict[str, Any]]
"""What `observe` says of each way, by its name; at least one turn, and in each the same ways."""


@dataclass(frozen=True)
class Spread:
    """One figure in all turns: their median, and where their middle half begins and ends."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Sum up at least one value."""
        low, middle, high = np.percentile(values, [25, 50, 75]).round(3).tolist()
        return cls(middle, low, high)


def summary(turns: Turns) -> dict[str, Any]:
    """What a report says of the turns, as JSON can hold it."""
    turns = complete(turns)
    return {
        "frames_per_s": {name: asdict(one) for name, one in rates(turns).items()},
        "ratios": {name: asdict(one) for name, one in ratios(turns).items()},
        "parts_ms": {name: parts_ms(turns, name) for name in turns[0]},
        "batch_sizes": {name: batch_sizes(turns, name) for name in turns[0]},
    }


def complete(turns: Turns) -> Turns:
    """Without the last turn of an interrupted run, which has not gone every way."""
    return [turn for turn in turns if turn.keys() == turns[0].keys()]


def rates(turns: Turns) -> dict[str, Spread]:
    """Frames per second of each way."""
    return {name: Spread.of([turn[name]["frames_per_s"] for turn in turns]) for name in turns[0]}


def ratios(turns: Turns) -> dict[str, Spread]:
    """`RATIOS`, each taken within its turn, of the ways that were gone."""
    return {
        name: Spread.of([turn[one]["frames_per_s"] / turn[other]["frames_per_s"] for turn in turns])
        for name, (one, other) in RATIOS.items()
        if {one, other} <= turns[0].keys()
    }


def parts_ms(turns: Turns, name: str) -> dict[str, float]:
    """Milliseconds of a frame by part, the median of the turns of one way; empty for the bare."""
    return {
        part: round(statistics.median(turn[name]["parts_ms"][part] for turn in turns), 2)
        for part in turns[0][name]["parts_ms"]
    }


def batch_sizes(turns: Turns, name: str) -> dict[str, dict[str, int]]:
    """How often each model has run on a batch of which size, in all turns of one way."""
    models = turns[0][name]["batch_sizes"]
    sums = {model: Counter[str]() for model in models}
    for turn in turns:
        for model in models:
            sums[model].update(turn[name]["batch_sizes"][model])
    return {
        model: dict(sorted(s.items(), key=lambda one: int(one[0]))) for model, s in sums.items()
    }
