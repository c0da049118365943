"""Histograms as Prometheus takes them."""

from __future__ import annotations

from yolostream.pipeline.timing import Durations, bucket_of, edge_s

_ABOUT_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 10.0),
)
_BUCKETS = tuple(bucket_of(seconds) for seconds in _ABOUT_S)
EDGES_S = tuple(float(f"{edge_s(bucket):.6g}") for bucket in _BUCKETS)
"""Upper limits of the buckets. They are edges of `Durations`, so that each count is exact, and
within 1.5% of round numbers."""


def buckets(durations: Durations) -> list[tuple[str, float]]:
    """The upper limit of each bucket, as Prometheus writes it, and how many do not exceed it."""
    reached = durations.counts.cumsum()
    pairs = [
        (repr(edge), float(reached[bucket])) for edge, bucket in zip(EDGES_S, _BUCKETS, strict=True)
    ]
    return [*pairs, ("+Inf", float(reached[-1]))]
