"""A fixed pinhole camera over a flat ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAR_M = 0.4
"""Nothing closer to the image plane than this is drawn."""

FAR_PX = 4e6
"""Pixel coordinates are cut here, so that they fit OpenCV's fixed-point polygons."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; the world has x to the right, y ahead and z up, in meters.

    Attributes:
        position_m: float64 [3], where the camera hangs.
        rotation: float64 [3, 3], rows are the image's right, down and viewing directions.
        focal_px: focal length in pixels.
        width: picture width in pixels.
        height: picture height in pixels.
    """

    position_m: NDArray[np.float64]
    rotation: NDArray[np.float64]
    focal_px: float
    width: int
    height: int

    def view(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn world points [N, 3] into camera points [N, 3] (right, down, depth), in meters."""
        return np.asarray((points - self.position_m) @ self.rotation.T, np.float64)

    def pixels(self, view_points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project camera points [N, 3] that lie beyond `NEAR_M` to pixels [N, 2]."""
        center = np.array([self.width / 2, self.height / 2])
        flat = view_points[:, :2] * (self.focal_px / view_points[:, 2:]) + center
        return np.asarray(np.clip(flat, -FAR_PX, FAR_PX), np.float64)

    def polygon(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project a world polygon [N, 3], cut at the near plane, to pixels [M, 2] (M may be 0)."""
        return self.pixels(clip_near(self.view(points)))


def look(
    position_m: tuple[float, float, float],
    *,
    target_m: tuple[float, float, float],
    focal_px: float,
    width: int,
    height: int,
) -> Camera:
    """Make a camera at one point that looks at another, with a level horizon.

    Args:
        position_m: camera position (x, y, z) in meters.
        target_m: the point in the middle of the picture, in meters.
        focal_px: focal length in pixels.
        width: picture width in pixels.
        height: picture height in pixels.
    """
    position = np.asarray(position_m, np.float64)
    ahead = np.asarray(target_m, np.float64) - position
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(ahead, right), ahead])
    return Camera(position, rotation, focal_px, width, height)


def clip_near(view_points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut a convex camera-space polygon [N, 3] at the near plane (Sutherland-Hodgman)."""
    depth = view_points[:, 2] - NEAR_M
    if depth.min(initial=1.0) >= 0:
        return view_points
    kept: list[NDArray[np.float64]] = []
    for i, point in enumerate(view_points):
        before = i - 1
        if (depth[i] >= 0) != (depth[before] >= 0):
            share = depth[before] / (depth[before] - depth[i])
            kept.append(view_points[before] + share * (point - view_points[before]))
        if depth[i] >= 0:
            kept.append(point)
    return np.array(kept).reshape(-1, 3)
