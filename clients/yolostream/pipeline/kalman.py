"""Where objects will be in the next frame: a Kalman filter of boxes that move evenly.

A place is float64 [2, 2]: a box's centre (x, y) and its size (width, height), in pixels. Each of
these four numbers has a filter of its own, with a velocity in pixels a frame, and all uncertainty
grows with the box, as in DeepSORT (arXiv 1703.07402, section 2.1), which ByteTrack and BoT-SORT
(arXiv 2206.14651, section 3.1) follow. What is as uncertain as another is kept once: x as width,
y as height. So the filters of all objects are a few operations on the columns of one table.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Motions = npt.NDArray[np.void]
"""[n] of `MOTION`."""

MOTION = np.dtype(
    [
        ("place", np.float64, (2, 2)),
        ("velocity", np.float64, (2, 2)),
        # Along x and along y.
        ("place_variance", np.float64, 2),
        ("covariance", np.float64, 2),
        ("velocity_variance", np.float64, 2),
    ]
)
"""What is known of one object: mean and covariance of its place and velocity."""

# Standard deviations, in parts of the box's size.
MEASURED = 0.05
MOVED = 0.05
ACCELERATED = 0.00625
# A box that shrinks while nobody sees it does not turn inside out; pixels.
SMALLEST = 1e-3


def places_of(boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Centre and size, float64 [n, 2, 2], of boxes [n, 4] with the corners x1, y1, x2, y2."""
    corners = boxes.reshape(-1, 2, 2).astype(np.float64)
    first, second = corners[:, 0], corners[:, 1]
    return np.stack([(first + second) / 2, second - first], axis=1)


def begin(places: npt.NDArray[np.float64]) -> Motions:
    """Objects that were seen once, and may move in any direction."""
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
    """Take in where the objects were seen, in place; row i of `places` is object i's."""
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
