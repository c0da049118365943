"""Limits of the frames in flight, which all processes of a run share."""

from __future__ import annotations

MAX_IN_FLIGHT = 28
"""Frames of all sources in flight; the server's queue holds somewhat more."""

MAX_IN_FLIGHT_ON_GPU = 80
"""The same if the steps pass tensors in GPU memory: the server's pool holds 90."""

MAX_BATCH = 8
"""Frames in one request to a GPU. Larger batches add latency and little throughput. A CPU gains
nothing from batches."""

REQUESTS_IN_FLIGHT = 4
"""Requests of each worker in flight, if frames are batched. With only two, frames would wait for
an answer before they are sent."""


def batch_size(frames: int, workers: int, *, wanted: int, most: int) -> int:
    """The size of a batch: small enough that each worker has several requests in flight.

    Args:
        frames: frames in flight, of all workers together.
        workers: number of workers.
        wanted: the size that is preferred.
        most: the model's largest batch.
    """
    return min(wanted, most, max(1, frames // (REQUESTS_IN_FLIGHT * workers)))
