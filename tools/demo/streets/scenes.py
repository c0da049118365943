"""Makes random streets by seed, and the two streets of the demo."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tools.demo.streets.annotations import Annotations
from tools.demo.streets.figure import Image
from tools.demo.streets.ground import GroundColors
from tools.demo.streets.layout import Layout, random_layout
from tools.demo.streets.lighting import LIGHTINGS, random_lighting
from tools.demo.streets.palette import ASPHALTS, LAWNS, PAVINGS, hexes, pick
from tools.demo.streets.street import Design, Street
from tools.demo.streets.traffic import CLASS_SHARES, Demand

BIKE_LANES = hexes("a8584a", "5f8f6a", "7a6f6a")


def random_design(seed: int, *, duration_s: float) -> Design:
    """Draw a street's design from a seed."""
    rng = np.random.default_rng([seed, 0])
    layout = random_layout(rng)
    heading = float(np.clip(rng.normal(0, 0.55), -1.25, 1.25))
    distance = float(rng.uniform(11, 34))
    height = float(rng.uniform(4.4, 11.0))
    aim = (float(rng.uniform(-5, 5)), float(rng.uniform(-6, 7)), float(rng.uniform(0, 2.2)))
    tries = int(rng.choice([0, 14, 30, 60, 130], p=[0.03, 0.22, 0.33, 0.27, 0.15]))
    low = int(rng.integers(1, 5))
    return Design(
        layout=layout,
        lighting=random_lighting(rng),
        colors=_ground_colors(rng),
        camera_m=(
            aim[0] + distance * float(np.sin(heading)),
            aim[1] - distance * float(np.cos(heading)),
            height,
        ),
        target_m=aim,
        zoom=float(rng.uniform(0.72, 1.45)),
        stories=(low, low + int(rng.integers(0, 4))),
        trees=float(rng.uniform(0, 0.9)),
        demand=Demand(tries, duration_s, CLASS_SHARES),
        scenery_seed=seed,
        traffic_seed=seed,
    )


def _ground_colors(rng: np.random.Generator) -> GroundColors:
    return GroundColors(
        asphalt=pick(rng, ASPHALTS),
        paving=pick(rng, PAVINGS),
        lawn=pick(rng, LAWNS if rng.random() < 0.5 else PAVINGS),
        bike_lane=pick(rng, BIKE_LANES) if rng.random() < 0.45 else None,
        yellow_center=bool(rng.random() < 0.35),
    )


def random_street(
    seed: int, *, width: int = 1280, height: int = 720, duration_s: float = 12.0
) -> Street:
    """Build a random street whose traffic is planned for `duration_s` seconds."""
    return Street(random_design(seed, duration_s=duration_s), width=width, height=height)


def sample(seed: int, *, width: int = 640, height: int = 360) -> tuple[Image, Annotations]:
    """Render one random frame of one random street.

    Args:
        seed: seed of the scene. The result depends only on the seed and the size.
        width: picture width in pixels.
        height: picture height in pixels.

    Returns:
        The picture, uint8 RGB [height, width, 3], and its truth.
    """
    return random_street(seed, width=width, height=height, duration_s=0.0).render(0.0)


def demo_street(name: Literal["mb1_1", "mb2_2"], *, width: int = 1280, height: int = 720) -> Street:
    """Build one of the two demo streets."""
    return Street(DEMOS[name], width=width, height=height)


DEMO_SECONDS = 10.0

DEMOS = {
    "mb1_1": Design(
        layout=Layout(60, 0, 70, 70, lanes=1, lane_m=3.5, bike_m=1.9, walk_m=4.5),
        lighting=LIGHTINGS["day"],
        colors=GroundColors(ASPHALTS[0], PAVINGS[2], LAWNS[0], BIKE_LANES[0], yellow_center=False),
        camera_m=(10.0, -25.0, 8.0),
        target_m=(-0.5, 0.0, 1.8),
        zoom=0.92,
        stories=(2, 4),
        trees=0.6,
        demand=Demand(110, DEMO_SECONDS, CLASS_SHARES),
        scenery_seed=7,
        traffic_seed=59,
    ),
    "mb2_2": Design(
        layout=Layout(60, 26, 70, 70, lanes=1, lane_m=3.4, bike_m=1.8, walk_m=4.0),
        lighting=LIGHTINGS["dusk"],
        colors=GroundColors(ASPHALTS[2], PAVINGS[3], PAVINGS[0], None, yellow_center=True),
        camera_m=(-11.0, -21.0, 8.0),
        target_m=(0.0, 2.0, 0.9),
        zoom=0.95,
        stories=(2, 5),
        trees=0.1,
        demand=Demand(110, DEMO_SECONDS, CLASS_SHARES),
        scenery_seed=7,
        traffic_seed=60,
    ),
}
