"""Imports the modules beside a `model.py` as the Python backend does: as parts of one package."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any


def load(folder: Path, module: str) -> Any:
    """Import a module of a model's version folder.

    Args:
        folder: Such as `model_repository/nms/1`.
        module: Name of the file, without its ending; may import its neighbors relatively.
    """
    package = f"{folder.parent.name}_{folder.name}"
    if package not in sys.modules:
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(folder)]
    return importlib.import_module(f"{package}.{module}")
