"""Synthetic street scenes, rendered for a fixed camera, with exact ground truth."""

from __future__ import annotations

from tools.demo.streets.annotations import Annotations
from tools.demo.streets.scenes import demo_street, random_street, sample
from tools.demo.streets.street import Design, Street
from tools.demo.streets.vehicles import CLASS_NAMES

__all__ = [
    "CLASS_NAMES",
    "Annotations",
    "Design",
    "Street",
    "demo_street",
    "random_street",
    "sample",
]
