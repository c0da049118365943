"""Runs `yolostream run` in a process, and observes its log, API and files while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import yaml
from clips import steps, write_clip
from instant import MODEL
from running import DEADLINE_S, poll

RATE = 10


def street(folder: Path) -> Path:
    """The path of a clip of two seconds, which is written if it is missing."""
    path = folder / "street.mp4"
    if not path.exists():
        write_clip(path, steps(2 * RATE), rate=Fraction(RATE))
    return path


class Service:
    """A running service: its log and its API."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))

    def join(self) -> None:
        """Wait for the end of the log."""
        self._listener.join(DEADLINE_S)

    def wait_for(self, words: str, *, times: int = 1) -> str:
        """Wait for a line with these words on stderr, the first or the `times`-th; return it."""
        poll(
            lambda: self._count(words) >= times or self.process.poll() is not None,
            what=f"'{words}' in {self.said}",
        )
        assert self._count(words) >= times, self.said
        return [line for line in self.said if words in line][times - 1]

    def _count(self, words: str) -> int:
        return sum(words in line for line in list(self.said))

    @property
    def address(self) -> str:
        """The URL of the page; waits until the service has logged it."""
        return (
            "http://" + self.wait_for("the page is at http").partition("http://")[2].split('"')[0]
        )

    def ask(self, path: str) -> object:
        with urllib.request.urlopen(f"{self.address}/api/v1/{path}", timeout=DEADLINE_S) as answer:
            return json.load(answer)

    def cameras(self) -> dict[str, dict]:
        """The cameras of the API by their names."""
        return {camera["name"]: camera for camera in self.ask("cameras")}

    def wait_for_frames(self, name: str, more: int = 3) -> None:
        """Wait until a camera has done `more` frames; its counter may restart meanwhile."""
        before = self.cameras()[name]["frames_done"]

        def are_done() -> bool:
            now = self.cameras()[name]["frames_done"]
            return now >= before + more or more <= now < before

        poll(are_done, what=f"frames of {name}: {self.cameras()} {self.said}")

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Stop the service by a signal; return its exit code and the seconds that it took."""
        asked_at = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        took_s = time.monotonic() - asked_at
        self.join()
        assert "Traceback" not in "\n".join(self.said), self.said
        return code, took_s


class Site:
    """A folder with a cameras.yaml that uses the server at `url`."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.path = folder / "cameras.yaml"
        self.out = folder / "out"
        self.url = url

    def write(self, cameras: Mapping[str, object], **more: object) -> None:
        """Replace the file atomically, as editors do."""
        everything = {
            "server": {"url": self.url},
            "web": {"address": "127.0.0.1:0"},
            "outputs": {"folder": str(self.out)},
            "defaults": {"model": MODEL, "decoder": "cpu"},
            "cameras": dict(cameras),
            **more,
        }
        beside = self.path.with_suffix(".new")
        beside.write_text(yaml.safe_dump(everything, sort_keys=False))
        beside.replace(self.path)

    def frames(self, name: str) -> list[int]:
        """The indices of the frames in a camera's JSON Lines."""
        lines = [
            line
            for path in sorted((self.out / name).glob("*.jsonl"))
            for line in path.read_text().splitlines(keepends=True)
            # The last line may be incomplete.
            if line.endswith("\n")
        ]
        return [json.loads(line)["frame"] for line in lines]

    @contextlib.contextmanager
    def running(self, *options: object, **environment: str) -> Iterator[Service]:
        with running(self.path, *options, **environment) as service:
            yield service


@contextlib.contextmanager
def running(*arguments: object, **environment: str) -> Iterator[Service]:
    with subprocess.Popen(
        [sys.executable, "-m", "yolostream", "run", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        service = Service(process)
        try:
            yield service
        finally:
            process.kill()
            # Popen closes the pipe, which the listener may still read.
            service.join()
