"""Converts histograms of durations to those of Prometheus."""

from __future__ import annotations

from yolostream.pipeline.timing import Durations, bucket_of, edge_s

_ABOUT_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 10.0),
)
_BUCKETS = tuple(bucket_of(seconds) for seconds in _ABOUT_S)
EDGES_S = tuple(float(f"{edge_s(bucket):.6g}") for bucket in _BUCKETS)
"""Upper bounds of the buckets. They are edges of `Durations`, so that each count is exact, and they
are within 1.5% of round numbers."""


def buckets(durations: Durations) -> list[tuple[str, float]]:
    """For each bucket, its upper bound as text, and the number of durations up to it."""
    cumulative = durations.counts.cumsum()
    pairs = [
        (repr(edge), float(cumulative[bucket]))
        for edge, bucket in zip(EDGES_S, _BUCKETS, strict=True)
    ]
    return [*pairs, ("+Inf", float(cumulative[-1]))]
