"""How much of a server's queue is used: what is on its way at once, of all processes together."""

from __future__ import annotations

MAX_IN_FLIGHT = 28
"""Frames on their way at once, all sources together; the server's queue holds somewhat more."""

MAX_IN_FLIGHT_ON_GPU = 80
"""The same where steps hand their tensors over in GPU memory: the server's pool holds 90."""

MAX_BATCH = 8
"""Frames of one request to a GPU: more make single frames wait, and win little. A CPU takes one
after the other anyway."""

REQUESTS_IN_FLIGHT = 4
"""Of each worker, where frames are sent together: with two, frames wait for one to come back."""


def batch_size(frames: int, workers: int, *, wanted: int, most: int) -> int:
    """Frames of one request: so few that each worker has several on their way.

    Args:
        frames: on their way at once, of all workers together.
        workers: that send them.
        wanted: frames of one request, where that is not too many.
        most: that the model takes.
    """
    return min(wanted, most, max(1, frames // (REQUESTS_IN_FLIGHT * workers)))
