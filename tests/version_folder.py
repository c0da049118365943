"""Imports the modules beside a `model.py` as Triton does: as parts of one package."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from repository import ROOT


def part(model: str, name: str) -> ModuleType:
    """Import the module `name` of `model`'s version folder; it may use relative imports."""
    package = f"{model}_version_1"
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [str(ROOT / model / "1")]
    return importlib.import_module(f"{package}.{name}")
