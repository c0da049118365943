"""Tests of rectangles on the ground: whether two overlap, and which one hides the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def corners(places: Floats, *, length_m: float, width_m: float) -> Floats:
    """Corners [..., 4, 2] of rectangles at places [..., 3] (x, y, heading in radians)."""
    ahead = np.stack([np.cos(places[..., 2]), np.sin(places[..., 2])], axis=-1)
    left = np.stack([-ahead[..., 1], ahead[..., 0]], axis=-1)
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) / 2
    along = signs[:, 0, None] * length_m * ahead[..., None, :]
    return np.asarray(
        places[..., None, :2] + along + signs[:, 1, None] * width_m * left[..., None, :]
    )


def overlap(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Test rectangles [..., 4, 2] pair by pair (separating axes); touching counts as apart."""
    apart = np.zeros(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), bool)
    for shape in (a, b):
        for side in (0, 1):
            axis = (shape[..., side + 1, :] - shape[..., side, :])[..., None, :]
            on_a, on_b = (a * axis).sum(axis=-1), (b * axis).sum(axis=-1)
            apart |= on_a.max(axis=-1) <= on_b.min(axis=-1)
            apart |= on_b.max(axis=-1) <= on_a.min(axis=-1)
    return ~apart


def in_front(a: Floats, b: Floats, *, eye: Floats) -> NDArray[np.bool_]:
    """Whether rectangles a [N, 1, 4, 2] are nearer to the eye [2] than rectangles b [M, 4, 2].

    Two rectangles that do not overlap are separated by the line through an edge of one of them;
    the one on the eye's side can hide the other, never the reverse.
    """
    a, b = np.broadcast_arrays(a, b)
    gap_a, eye_a = _separation(a, b, eye)
    gap_b, eye_b = _separation(b, a, eye)
    return np.where(gap_a >= gap_b, eye_a < 0, eye_b > 0)


def _separation(a: Floats, b: Floats, eye: Floats) -> tuple[Floats, Floats]:
    """Widest gap that an edge of a leaves to b, and how far the eye is beyond that edge."""
    edges = np.roll(a, -1, axis=-2) - a
    normals = np.stack([edges[..., 1], -edges[..., 0]], axis=-1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    middle = a.mean(axis=-2, keepdims=True)
    normals *= np.where(((a - middle) * normals).sum(axis=-1, keepdims=True) < 0, -1.0, 1.0)
    reach = (a * normals).sum(axis=-1)
    gaps = np.einsum("...pk,...ek->...ep", b, normals).min(axis=-1) - reach
    beyond = normals @ eye - reach
    # Of the edges that separate the two, the decision must not depend on a near-zero gap.
    best = gaps.argmax(axis=-1)[..., None]
    return (
        np.take_along_axis(gaps, best, axis=-1)[..., 0],
        np.take_along_axis(beyond, best, axis=-1)[..., 0],
    )
