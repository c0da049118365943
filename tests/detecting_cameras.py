"""Runs `yolostream detect` on cameras, and observes its log and its results while it runs."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from instant import MODEL
from running import DEADLINE_S, Finished, poll, started


class Watched:
    """A running command that writes JSON Lines into the folder `out`."""

    def __init__(self, process: subprocess.Popen[str], out: Path) -> None:
        self.process = process
        self.out = out
        self.log: list[tuple[float, str]] = []
        """The lines on stderr, each with the `time.monotonic()` of its arrival."""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self.process.stderr:
            self.log.append((time.monotonic(), line.rstrip("\n")))

    def when(self, words: str, *, since: float = 0.0) -> float | None:
        """`time.monotonic()` of the first line since `since` that contains these words."""
        return next((at for at, line in self.log if words in line and at >= since), None)

    def wait_for(self, words: str, *, since: float = 0.0) -> float:
        deadline = time.monotonic() + DEADLINE_S
        while (at := self.when(words, since=since)) is None:
            assert time.monotonic() < deadline, f"waited too long for '{words}' in {self.log}"
            time.sleep(0.02)
        return at

    def count(self, name: str = "cam") -> int:
        """Frames written so far."""
        path = self.out / f"{name}.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait_for_frames(self, more: int, name: str = "cam") -> float:
        """Wait until `more` more frames are written; return `time.monotonic()` then."""
        wanted = self.count(name) + more
        poll(
            lambda: self.count(name) >= wanted or self.process.poll() is not None,
            what=f"frame {wanted} of {name}; {self.log}",
        )
        assert self.count(name) >= wanted, self.log
        return time.monotonic()

    def records(self, name: str = "cam") -> list[dict]:
        return [json.loads(line) for line in (self.out / f"{name}.jsonl").read_text().splitlines()]

    def ended(self, *, timeout_s: float = 60.0) -> Finished:
        """Wait until the process has ended; its log must contain no traceback."""
        code = self.process.wait(timeout_s)
        self._listener.join(timeout_s)
        log = "\n".join(line for _, line in self.log)
        assert "Traceback" not in log
        return subprocess.CompletedProcess(
            self.process.args, code, self.process.stdout.read(), f"{log}\n"
        )

    def interrupt(self) -> tuple[Finished, float]:
        """Stop the process as Ctrl-C does; return also the seconds that it took to end."""
        sent_at = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        finished = self.ended()
        return finished, time.monotonic() - sent_at

    def summary(self) -> dict[str, dict]:
        """The summary of the ended run: the figures of each source by its name."""
        summary = json.loads((self.out / "summary.json").read_text())
        return {source["name"]: source for source in summary["sources"]}


@contextlib.contextmanager
def detecting(tmp_path: Path, server_url: str, *arguments: object) -> Iterator[Watched]:
    """Run the command with these sources and options."""
    out = tmp_path / "out"
    options = ("--url", server_url, "--model", MODEL, "--output", out, "--save", "jsonl")
    summary = ("--summary", out / "summary.json")
    with started(tmp_path, "detect", *arguments, *options, *summary) as process:
        yield Watched(process, out)
