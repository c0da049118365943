"""Where the roads run: a main street, a cross street and a far street that closes the view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.demo.streets.shapes import Rect

REACH_M = 80.0
"""Streets and houses end this far from the junction."""


@dataclass(frozen=True)
class Layout:
    """Roads around a junction at the origin; an arm of length 0 is not there.

    The main street runs along y, the cross street along x. The north arm always ends in a far
    street that runs along x, so that traffic leaves around a corner and not into the distance.

    Attributes:
        south_m: length of the main street before the junction.
        north_m: distance from the junction to the far street.
        west_m: length of the left arm.
        east_m: length of the right arm.
        lanes: lanes per direction.
        lane_m: width of a lane.
        bike_m: width of the bicycle lane at each edge.
        median_m: width of the divider between the directions.
        walk_m: width of the sidewalks.
    """

    south_m: float
    north_m: float
    west_m: float
    east_m: float
    lanes: int = 1
    lane_m: float = 3.4
    bike_m: float = 1.7
    median_m: float = 0.0
    walk_m: float = 4.0

    @property
    def half_m(self) -> float:
        """Half the width of every road, from its center line to the curb."""
        return self.median_m / 2 + self.lanes * self.lane_m + self.bike_m

    def lane_offset_m(self, lane: int) -> float:
        """Distance of a lane's middle from the center line; lane -1 is the bicycle lane."""
        if lane < 0:
            return self.half_m - self.bike_m / 2
        return self.median_m / 2 + (lane + 0.5) * self.lane_m

    def roads(self) -> list[Rect]:
        """All roads as rectangles on the ground, in meters."""
        half = self.half_m
        roads = []
        if self.south_m or self.north_m:
            north = self.north_m or half
            roads.append((-half, half, -self.south_m or -half, north))
        if self.west_m or self.east_m:
            roads.append((-self.west_m or -half, self.east_m or half, -half, half))
        if self.north_m:
            roads.append((-REACH_M, REACH_M, self.north_m - half, self.north_m + half))
        return roads

    def blocks(self) -> list[Rect]:
        """The land between the roads as rectangles, sidewalks included, in meters."""
        half = self.half_m
        beyond = self.north_m + half if self.north_m else half
        blocks = [(-REACH_M, REACH_M, beyond, beyond + REACH_M)]
        if not self.south_m:
            blocks.append((-REACH_M, REACH_M, -REACH_M, -half))
            return blocks
        for cross, (x0, x1) in (
            (self.west_m > 0, (-REACH_M, -half)),
            (self.east_m > 0, (half, REACH_M)),
        ):
            blocks += [(x0, x1, *row) for row in self._rows(cross=cross)]
        return blocks

    def _rows(self, *, cross: bool) -> list[tuple[float, float]]:
        half = self.half_m
        edges = [-REACH_M, -half, half] if cross else [-REACH_M]
        edges.append(self.north_m - half if self.north_m else half)
        return [
            (low, high) for low, high in zip(edges[::2], edges[1::2], strict=False) if low < high
        ]

    def terminals(self) -> dict[str, list[tuple[float, float]]]:
        """Ends of the arms, each with the center-line points that lead from it to the origin."""
        ends = {
            "south": [(0.0, -self.south_m)] if self.south_m else [],
            "west": [(-self.west_m, 0.0)] if self.west_m else [],
            "east": [(self.east_m, 0.0)] if self.east_m else [],
            "far west": [(-REACH_M, self.north_m), (0.0, self.north_m)] if self.north_m else [],
            "far east": [(REACH_M, self.north_m), (0.0, self.north_m)] if self.north_m else [],
        }
        return {name: points for name, points in ends.items() if points}


def random_layout(rng: np.random.Generator) -> Layout:
    """Choose a crossing, a T-junction, a plain street or a street across the view."""
    arms = rng.choice(
        ["cross", "tee", "left", "right", "plain", "across"], p=[0.3, 0.22, 0.1, 0.1, 0.16, 0.12]
    )
    side = arms in {"cross", "tee", "across"}
    return Layout(
        south_m=0.0 if arms == "across" else 60.0,
        north_m=0.0 if arms in {"tee", "across"} else float(rng.uniform(30, 62)),
        west_m=70.0 if side or arms == "left" else 0.0,
        east_m=70.0 if side or arms == "right" else 0.0,
        lanes=int(rng.choice([1, 2], p=[0.7, 0.3])),
        lane_m=float(rng.uniform(3.1, 3.6)),
        bike_m=float(rng.uniform(1.4, 2.1)),
        median_m=float(rng.choice([0.0, rng.uniform(0.8, 2.6)], p=[0.65, 0.35])),
        walk_m=float(rng.uniform(2.8, 5.5)),
    )
