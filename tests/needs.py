"""What a machine may lack: skipped by name, and a failure where a variable says that it is here."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest


def needs(module: str, *, variable: str) -> None:
    """Leave out the test file that calls this if `module` is not installed."""
    if importlib.util.find_spec(module) is None:
        lacking(module, variable=variable)


def lacking(what: str, *, variable: str) -> NoReturn:
    """Leave out the test, or the test file, that calls this."""
    pytest.skip(_reason(what, variable), allow_module_level=True)


def skip_where(missing: str, *, variable: str) -> pytest.MarkDecorator:
    """A mark for tests, or for a whole file as its `pytestmark`.

    Args:
        missing: what they need and this machine lacks, and why or from where it comes; empty where
            it lacks nothing.
        variable: of the environment, which is 1 where a machine has it.
    """
    return pytest.mark.skipif(bool(missing), reason=missing and _reason(missing, variable))


def missing_programs(*names: str) -> str:
    """Those of some programs that are not on PATH."""
    return " and ".join(name for name in names if shutil.which(name) is None)


def _reason(what: str, variable: str) -> str:
    if os.environ.get(variable) == "1":
        raise ImportError(f"{variable}=1, but this machine lacks {what}")
    return f"needs {what}; {variable}=1 makes this a failure"
