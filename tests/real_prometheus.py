"""Debian's Prometheus and promtool.

Tests that need them are skipped by name, and fail where REQUIRE_PROMETHEUS=1 promises them.
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

_MISSING = [program for program in ("prometheus", "promtool") if shutil.which(program) is None]

if _MISSING and os.environ.get("REQUIRE_PROMETHEUS") == "1":
    raise ImportError(f"REQUIRE_PROMETHEUS=1, but {_MISSING[0]} is not installed here")

needs_prometheus = pytest.mark.skipif(
    bool(_MISSING),
    reason="needs Prometheus, whose package .ci/run installs; REQUIRE_PROMETHEUS=1 makes this a "
    "failure",
)
"""Marks a test, or a whole file as its `pytestmark`."""


def promtool(*arguments: object, given: str | None = None) -> str:
    """What promtool says of something that it finds no fault with; `given` is its stdin."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=given, capture_output=True, text=True, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
