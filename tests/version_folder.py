"""What lies beside a `model.py`, imported as Triton does: as parts of one package."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from repository import ROOT


def part(model: str, name: str) -> ModuleType:
    """The module `name` of `model`'s version folder; it may import its neighbors relatively."""
    package = f"{model}_version_1"
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [str(ROOT / model / "1")]
    return importlib.import_module(f"{package}.{name}")
