"""Colors of everything, as RGB in 0..1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tools.demo.streets.mesh import Rgb


def hexes(*codes: str) -> tuple[Rgb, ...]:
    """Read colors written as six hexadecimal digits."""
    return tuple(
        (int(c[0:2], 16) / 255, int(c[2:4], 16) / 255, int(c[4:6], 16) / 255) for c in codes
    )


def pick(rng: np.random.Generator, colors: Sequence[Rgb]) -> Rgb:
    """Choose one color."""
    return colors[int(rng.integers(len(colors)))]


CAR_PAINTS = hexes(
    "e8e6e1", "d9dadc", "9aa1a8", "4a5058", "22262c", "c8372d", "8f1f28", "e0672f", "f0b52e",
    "2f6fb5", "1d3f6e", "6fa8c9", "2f7d5b", "7fb69a", "e3d3b0", "7a5a48", "a83f66", "5a4b8c",
    "f2f0ea", "b9bec3",
)  # fmt: skip

_BUS = hexes(
    "f4f1e8", "c9382f",
    "f6c433", "2b2f36",
    "f2efe6", "2d6ca8",
    "d8443a", "f1ece0",
    "3f9c78", "f2efe4",
    "f0ede4", "e88b2e",
    "4d7fb8", "23395b",
)  # fmt: skip
BUS_LIVERIES = tuple(zip(_BUS[::2], _BUS[1::2], strict=True))

TRUCK_PAINTS = hexes("d8452e", "2c67a6", "f0efe9", "e9a52b", "3b7d63", "444c57", "8e2f3b", "5c94c4")
CARGO_PAINTS = hexes("f1efe8", "dfe3e6", "c9b48a", "a7b6c0", "e7ded0", "6f8fa8", "b5574a", "7d8f6a")

FRAME_PAINTS = hexes("d63e33", "1f6fb2", "22262c", "e9e6df", "2f8f6b", "f2a92e", "8a4fa3", "3ea7b8")
SHIRTS = hexes(
    "e4572e", "2e86ab", "f2c14e", "5b8e7d", "bc4b51", "f4f1de", "3d405b", "8cb369", "c06c84",
    "2f3640",
)  # fmt: skip
TROUSERS = hexes("2b3a55", "3a3a3c", "5a4a3f", "46586b", "8a7b62", "1f2429")
SKINS = hexes("f0c9a4", "d9a577", "a8744c", "6f4a32")
HELMETS = hexes("f2f0ea", "22262c", "d63e33", "f2b134", "2f7fc1", "3a9f77")

FACADES = hexes(
    "e9c9a8", "d9967a", "c96f5a", "e8dcc4", "b8c4bb", "8fa9a6", "dfb271", "a9b7c6", "c7a69a",
    "efe3d0", "93a8b8", "b5665a", "d6c3b0", "7f93a3",
)  # fmt: skip
ROOFS = hexes("8f4a3c", "6e5a50", "55606b", "a65d46", "7a7f85")
AWNINGS = hexes("c8453b", "2f7a6b", "2f5f95", "e2a33b", "8a4b6f", "efe8da")
LEAVES = hexes("6f9f4f", "5c8f56", "86ad57", "4f7f58", "9bb45c", "c79a45", "b8763e")
TRUNK = hexes("6b4f3a")[0]
ASPHALTS = hexes("5b5f66", "666a70", "525660", "6e6c6b", "5f6468")
PAVINGS = hexes("c9c1b4", "b9b5ad", "d2c7b6", "aeb0b2", "c4b7a6")
LAWNS = hexes("8faa62", "7f9f5f", "9db06a", "76945c")
MARKING = hexes("eeeae0")[0]
YELLOW_MARKING = hexes("e8bf4a")[0]
LIT_WINDOWS = hexes("ffd98a", "ffc56b", "fff0c4", "ffb45a", "cfe3ff")
