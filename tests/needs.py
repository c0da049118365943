"""Skips tests whose requirements a machine lacks; if a variable is set, they fail instead."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest


def needs(module: str, *, variable: str) -> None:
    """Skip the test file that calls this if `module` is not installed."""
    if importlib.util.find_spec(module) is None:
        lacking(module, variable=variable)


def lacking(what: str, *, variable: str) -> NoReturn:
    """Skip the test, or the test file, that calls this, because `what` is missing."""
    pytest.skip(_reason(what, variable), allow_module_level=True)


def skip_where(missing: str, *, variable: str) -> pytest.MarkDecorator:
    """A mark for tests, or for a whole file as its `pytestmark`.

    Args:
        missing: what the tests need and this machine lacks, with the reason or the fix; empty if it
            lacks nothing.
        variable: the environment variable that makes this an error if it is 1.
    """
    return pytest.mark.skipif(bool(missing), reason=missing and _reason(missing, variable))


def missing_programs(*names: str) -> str:
    """The names of the programs that are not on PATH."""
    return " and ".join(name for name in names if shutil.which(name) is None)


def _reason(what: str, variable: str) -> str:
    if os.environ.get(variable) == "1":
        raise ImportError(f"{variable}=1, but this machine lacks {what}")
    return f"needs {what}; {variable}=1 makes this a failure"
