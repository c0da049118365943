"""Rounds of `loadtest.price` summed up: the median of each figure, and its quartiles."""

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
"""Frames per second of one scenario over those of another."""

Rounds = list[dict[str, Any]]
"""What `observe` says of each scenario, by its name; at least one round, each with all names."""


@dataclass(frozen=True)
class Quartiles:
    """One figure over all rounds: its median, and its first and third quartile."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Quartiles:
        """Sum up at least one value."""
        low, middle, high = np.percentile(values, [25, 50, 75]).round(3).tolist()
        return cls(middle, low, high)


def summary(rounds: Rounds) -> dict[str, Any]:
    """What a report says of the rounds, as JSON can hold it."""
    rounds = complete(rounds)
    return {
        "frames_per_s": {name: asdict(one) for name, one in rates(rounds).items()},
        "ratios": {name: asdict(one) for name, one in ratios(rounds).items()},
        "parts_ms": {name: parts_ms(rounds, name) for name in rounds[0]},
        "batch_sizes": {name: batch_sizes(rounds, name) for name in rounds[0]},
    }


def complete(rounds: Rounds) -> Rounds:
    """Without the last round of an interrupted run, which lacks scenarios."""
    return [one_round for one_round in rounds if one_round.keys() == rounds[0].keys()]


def rates(rounds: Rounds) -> dict[str, Quartiles]:
    """Frames per second of each scenario."""
    return {
        name: Quartiles.of([one_round[name]["frames_per_s"] for one_round in rounds])
        for name in rounds[0]
    }


def ratios(rounds: Rounds) -> dict[str, Quartiles]:
    """`RATIOS`, each taken within a round, of the scenarios that were run."""
    return {
        name: Quartiles.of(
            [
                one_round[one]["frames_per_s"] / one_round[other]["frames_per_s"]
                for one_round in rounds
            ]
        )
        for name, (one, other) in RATIOS.items()
        if {one, other} <= rounds[0].keys()
    }


def parts_ms(rounds: Rounds, name: str) -> dict[str, float]:
    """Milliseconds of a frame by part, medians over the rounds; empty for the bare network."""
    return {
        part: round(statistics.median(one_round[name]["parts_ms"][part] for one_round in rounds), 2)
        for part in rounds[0][name]["parts_ms"]
    }


def batch_sizes(rounds: Rounds, name: str) -> dict[str, dict[str, int]]:
    """How often each model has run on a batch of which size, in all rounds of a scenario."""
    models = rounds[0][name]["batch_sizes"]
    sums = {model: Counter[str]() for model in models}
    for one_round in rounds:
        for model in models:
            sums[model].update(one_round[name]["batch_sizes"][model])
    return {
        model: dict(sorted(s.items(), key=lambda one: int(one[0]))) for model, s in sums.items()
    }
