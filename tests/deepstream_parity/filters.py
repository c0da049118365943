"""Emulates each filter in each mode, for a comparison with the results of DeepStream itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from yolostream import Detections

from tests.deepstream_parity.front_ends import MODES, by_client, by_deepstream
from tests.deepstream_parity.material import Material
from tests.deepstream_parity.real import SHARES
from tools.agreement import SAME_IOU, agreement

CLIP = "mb1_1"

Cells = Mapping[str, Iterable[int]]
"""The modes and their filters."""


def emulate(url: str, material: Material, cells: Cells = SHARES) -> dict[str, Any]:
    """The results of the emulation for each of `cells`, as a dictionary for JSON."""
    client = by_client(url, material, downscale=True)
    return {
        "frames": len(material.frames),
        "client_boxes": sum(map(len, client)),
        "modes": {
            mode: {
                str(number): _compared(
                    by_deepstream(url, material, replace(MODES[mode], filter=number)), client
                )
                for number in numbers
            }
            for mode, numbers in cells.items()
        },
    }


def _compared(deepstream: list[Detections], client: list[Detections]) -> dict[str, Any]:
    compared = agreement(zip(deepstream, client, strict=True))
    same = compared.ious >= SAME_IOU
    right, down = np.median(compared.shifts, axis=0)
    return {
        "share": round(2 * int(same.sum()) / sum(compared.boxes), 4),
        "shift": [round(float(right), 2), round(float(down), 2)],
    }
