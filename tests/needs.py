"""What a machine may lack: skipped by name, and a failure where a variable says that it is here."""

from __future__ import annotations

import importlib.util
import os

import pytest


def needs(module: str, *, variable: str) -> None:
    """Leave out the test file that calls this if `module` is not installed."""
    if importlib.util.find_spec(module) is not None:
        return
    if os.environ.get(variable) == "1":
        raise ImportError(f"{variable}=1, but {module} is not installed here")
    pytest.skip(f"needs {module}; {variable}=1 makes this a failure", allow_module_level=True)
