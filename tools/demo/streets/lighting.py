"""Light and weather: sun, sky, haze, and their effect on colors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tools.demo.streets.mesh import Rgb


@dataclass(frozen=True)
class Lighting:
    """The light over a street.

    Attributes:
        azimuth_rad: compass direction that the light comes from, counterclockwise from +x.
        elevation_rad: height of the light over the horizon.
        sun: color of direct light; may exceed 1.
        ambient: color of the light from everywhere.
        zenith: sky color at the top of the picture.
        horizon: sky color at the horizon.
        haze_per_m: part of a color that the horizon's color replaces, per meter of distance.
        shadow: darkness of cast shadows, 0..1.
        lamps_on: whether lamps and windows shine.
        noise: standard deviation of the sensor noise in gray levels.
    """

    azimuth_rad: float
    elevation_rad: float
    sun: Rgb
    ambient: Rgb
    zenith: Rgb
    horizon: Rgb
    haze_per_m: float
    shadow: float
    lamps_on: bool = False
    noise: float = 1.2

    def toward_sun(self) -> NDArray[np.float64]:
        """Unit vector [3] toward the light."""
        flat = np.cos(self.elevation_rad)
        return np.array(
            [
                flat * np.cos(self.azimuth_rad),
                flat * np.sin(self.azimuth_rad),
                np.sin(self.elevation_rad),
            ]
        )

    def shade(
        self,
        rgb: NDArray[np.float64],
        normals: NDArray[np.float64],
        *,
        emission: NDArray[np.float64] | float = 0.0,
        distance_m: NDArray[np.float64] | float = 0.0,
    ) -> NDArray[np.float64]:
        """Light flat surfaces.

        Args:
            rgb: surface colors [N, 3] in 0..1.
            normals: outward unit normals [N, 3].
            emission: share of own light, [N] or one number.
            distance_m: distance from the camera, [N] or one number.

        Returns:
            Colors [N, 3] in 0..255.
        """
        facing = np.clip(normals @ self.toward_sun(), 0, None)[:, None]
        sky = 0.86 + 0.14 * normals[:, 2:]
        light = np.asarray(self.ambient) * sky + np.asarray(self.sun) * facing
        glow = np.broadcast_to(np.asarray(emission, np.float64), (len(rgb),))[:, None]
        own = np.where(glow > 0, np.maximum(rgb * glow, rgb * light), rgb * light)
        far = np.broadcast_to(np.asarray(distance_m, np.float64), (len(rgb),))[:, None]
        haze = 1 - np.exp(-self.haze_per_m * far)
        mixed = own + haze * (np.asarray(self.horizon) - own)
        return np.asarray(np.clip(mixed, 0, 1) * 255, np.float64)


LIGHTINGS = {
    "day": Lighting(
        -2.3, 0.78, (0.74, 0.67, 0.52), (0.53, 0.56, 0.64), (0.38, 0.65, 0.87), (0.86, 0.93, 0.95),
        0.0022, 0.46,
    ),
    "morning": Lighting(
        0.6, 0.42, (0.92, 0.74, 0.5), (0.48, 0.49, 0.58), (0.5, 0.69, 0.86), (0.98, 0.88, 0.76),
        0.0045, 0.42,
    ),
    "dusk": Lighting(
        -2.75, 0.32, (0.74, 0.42, 0.26), (0.40, 0.41, 0.58), (0.24, 0.24, 0.47), (0.96, 0.62, 0.46),
        0.0045, 0.34, True, 1.8,
    ),
    "night": Lighting(
        1.9, 0.9, (0.12, 0.14, 0.22), (0.3, 0.33, 0.48), (0.05, 0.07, 0.17), (0.16, 0.19, 0.35),
        0.003, 0.3, True, 2.2,
    ),
    "overcast": Lighting(
        2.0, 1.2, (0.14, 0.14, 0.14), (0.76, 0.78, 0.81), (0.72, 0.76, 0.8), (0.86, 0.88, 0.89),
        0.004, 0.24,
    ),
    "rain": Lighting(
        2.0, 1.2, (0.06, 0.06, 0.07), (0.58, 0.62, 0.67), (0.56, 0.6, 0.65), (0.7, 0.74, 0.77),
        0.014, 0.2, True, 2.0,
    ),
}  # fmt: skip
"""The hand-made lightings by name; random streets vary around them."""


def random_lighting(rng: np.random.Generator) -> Lighting:
    """Choose a lighting and vary its sun, strength, haze and noise."""
    name = str(rng.choice(list(LIGHTINGS), p=[0.32, 0.16, 0.16, 0.16, 0.12, 0.08]))
    lighting = LIGHTINGS[name]
    gain, warmth = float(rng.uniform(0.86, 1.12)), float(rng.uniform(-0.05, 0.05))
    tint = np.array([1 + warmth, 1.0, 1 - warmth]) * gain
    return replace(
        lighting,
        azimuth_rad=float(rng.uniform(0, 2 * np.pi)),
        elevation_rad=lighting.elevation_rad * float(rng.uniform(0.8, 1.25)),
        sun=_tinted(lighting.sun, tint),
        ambient=_tinted(lighting.ambient, tint),
        haze_per_m=lighting.haze_per_m * float(rng.uniform(0.4, 1.6)),
        noise=float(rng.uniform(0.5, 5.0)),
    )


def _tinted(rgb: Rgb, tint: NDArray[np.float64]) -> Rgb:
    red, green, blue = np.asarray(rgb) * tint
    return (float(red), float(green), float(blue))
