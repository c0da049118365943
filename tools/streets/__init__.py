"""Synthetic street scenes with exact truth: drawn by code, seen by a fixed camera."""

from __future__ import annotations

from tools.streets.annotations import Annotations
from tools.streets.scenes import demo_street, random_street, sample
from tools.streets.street import Design, Street
from tools.streets.vehicles import CLASS_NAMES

__all__ = [
    "CLASS_NAMES",
    "Annotations",
    "Design",
    "Street",
    "demo_street",
    "random_street",
    "sample",
]
