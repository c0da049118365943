"""A Kalman filter with constant velocity, which predicts the boxes of objects in the next frame.

A place is float64 [2, 2]: a box's centre (x, y) and its size (width, height), in pixels. Each of
these four numbers has a filter of its own, with a velocity in pixels per frame. All standard
deviations are proportional to the size of the box, as in DeepSORT (arXiv 1703.07402, section 2.1),
ByteTrack and BoT-SORT (arXiv 2206.14651, section 3.1). x has the same variance as the width, and y
the same as the height, so each is stored once. The filters of all objects are columns of one table,
and are updated together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Motions = npt.NDArray[np.void]
"""[n] with the dtype `MOTION`: the state of n objects."""

MOTION = np.dtype(
    [
        ("place", np.float64, (2, 2)),
        ("velocity", np.float64, (2, 2)),
        # One value for x and the width, one for y and the height.
        ("place_variance", np.float64, 2),
        ("covariance", np.float64, 2),
        ("velocity_variance", np.float64, 2),
    ]
)
"""The state of one object: mean and covariance of its place and velocity."""

# Standard deviations of a measurement, and of the change of place and velocity per frame, as
# fractions of the box's size.
MEASURED = 0.05
MOVED = 0.05
ACCELERATED = 0.00625
# Pixels: the size of a box whose prediction shrinks stays positive.
SMALLEST = 1e-3


def places_of(boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Centre and size, float64 [n, 2, 2], of boxes [n, 4] with the corners x1, y1, x2, y2."""
    corners = boxes.reshape(-1, 2, 2).astype(np.float64)
    first, second = corners[:, 0], corners[:, 1]
    return np.stack([(first + second) / 2, second - first], axis=1)


def begin(places: npt.NDArray[np.float64]) -> Motions:
    """The state of objects that were seen once: no velocity, with a large variance."""
    motions = np.zeros(len(places), MOTION)
    motions["place"] = places
    squared_size = places[:, 1] ** 2
    motions["place_variance"] = (2 * MOVED) ** 2 * squared_size
    motions["velocity_variance"] = (10 * ACCELERATED) ** 2 * squared_size
    return motions


def predict(motions: Motions) -> None:
    """Move all objects to the next frame, in place."""
    squared_size = motions["place"][:, 1] ** 2
    motions["place"] += motions["velocity"]
    _keep_size(motions)
    motions["place_variance"] += 2 * motions["covariance"] + motions["velocity_variance"]
    motions["place_variance"] += MOVED**2 * squared_size
    motions["covariance"] += motions["velocity_variance"]
    motions["velocity_variance"] += ACCELERATED**2 * squared_size


def correct(motions: Motions, places: npt.NDArray[np.float64]) -> None:
    """Update the states in place with measurements; row i of `places` belongs to object i."""
    noise = MEASURED**2 * motions["place"][:, 1] ** 2
    total = motions["place_variance"] + noise
    gain = motions["place_variance"] / total
    velocity_gain = motions["covariance"] / total
    surprise = places - motions["place"]
    motions["place"] += gain[:, None] * surprise
    motions["velocity"] += velocity_gain[:, None] * surprise
    _keep_size(motions)
    motions["velocity_variance"] -= velocity_gain * motions["covariance"]
    motions["covariance"] *= 1 - gain
    motions["place_variance"] *= 1 - gain


def _keep_size(motions: Motions) -> None:
    size = motions["place"][:, 1]
    np.maximum(size, SMALLEST, out=size)
