"""A real Prometheus and promtool, from Debian's package.

Tests that need them are skipped if they are not installed. With REQUIRE_PROMETHEUS=1 they fail
instead; .ci/run installs the package and sets the variable.
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from loopback import LOOPBACK, reserved_port
from needs import missing_programs, skip_where
from running import DEADLINE_S, poll

needs_prometheus = skip_where(
    missing_programs("prometheus", "promtool"), variable="REQUIRE_PROMETHEUS"
)
"""A mark for a test, or for a whole file as its `pytestmark`."""


def promtool(*arguments: object, given: str | None = None) -> str:
    """Run promtool, which must succeed, with `given` on stdin; return its output."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=given, capture_output=True, text=True, timeout=60
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


class Prometheus:
    """A client of a running Prometheus."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{LOOPBACK}:{port}/api/v1"

    def query(self, expression: str) -> list[dict]:
        """The current series of an expression."""
        words = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self._url}/query?{words}", timeout=60) as answer:
            response = json.load(answer)
        assert response["status"] == "success"
        assert response["data"]["resultType"] == "vector", expression
        return response["data"]["result"]

    def wait_for(self, expression: str, *, deadline_s: float = DEADLINE_S) -> list[dict]:
        """Wait until a series of an expression has a value other than NaN; return the series."""
        deadline = time.monotonic() + deadline_s
        while True:
            series = self.query(expression)
            if any(math.isfinite(float(one["value"][1])) for one in series):
                return series
            assert time.monotonic() < deadline, f"no data: {expression} is {series}"
            time.sleep(0.25)

    @property
    def is_ready(self) -> bool:
        """Whether it answers queries."""
        try:
            self.query("vector(1)")
        except OSError:
            return False
        return True


@contextlib.contextmanager
def prometheus(configuration: Path, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus on loopback; its data and its log are written into `folder`."""
    with reserved_port() as port, (folder / "prometheus.log").open("w") as log:
        command = ["prometheus", f"--config.file={configuration}"]
        command += [f"--web.listen-address={LOOPBACK}:{port}"]
        command += [f"--storage.tsdb.path={folder / 'tsdb'}"]
        with subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                running = Prometheus(port)
                poll(lambda: running.is_ready, what="Prometheus")
                yield running
            finally:
                process.terminate()
