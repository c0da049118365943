"""Other programs: starting and ending them, their processor time and their memory."""

from __future__ import annotations

import contextlib
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psutil
from yolostream.interruption import defer_signals

from loadtest.repository import REPOSITORY

_STOP_S = 20.0
_ERRORS = ("error:", "Failed", "No valid", "Thread")
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


@contextlib.contextmanager
def started(command: Sequence[str], stdout: Any, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the block ends; `stdout` receives its errors too."""
    process = None
    try:
        with defer_signals():
            process = subprocess.Popen(
                command,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                text=True,
                # Ctrl-C must reach only the benchmark, which then stops the program.
                start_new_session=True,
                **options,
            )
        yield process
    finally:
        if process is not None:
            with process:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def output_of(*command: str) -> str:
    """What a command prints; empty if it is not installed or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def last_words(text: str) -> str:
    """The errors that `detect` or perf_analyzer printed, or else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(_ERRORS)]
    return " ".join(errors or lines[-1:]) or "it said nothing"


def family(pid: int) -> tuple[int, ...]:
    """A process and its descendants; none if it has ended."""
    with contextlib.suppress(*_GONE):
        children = psutil.Process(pid).children(recursive=True)
        return (pid, *(child.pid for child in children))
    return ()


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time so far of all these processes and of their ended children, in seconds.

    The processes themselves may have ended too, until their parent waits for them.
    """
    return sum(_cpu_s(pids).values())


@contextlib.contextmanager
def spending(pids: Iterable[int]) -> Iterator[dict[str, float]]:
    """Yield a dictionary that is filled when the block ends.

    It holds the processor time that these processes spent inside the block, in seconds, by
    `program_of` each.
    """
    before, spent = _cpu_s(pids), dict[str, float]()
    yield spent
    spent |= {name: now - before.get(name, 0.0) for name, now in _cpu_s(pids).items()}


def _cpu_s(pids: Iterable[int]) -> dict[str, float]:
    spent: dict[str, float] = defaultdict(float)
    for pid in pids:
        with contextlib.suppress(*_GONE):
            process = psutil.Process(pid)
            # User and system time, and those of the children that have ended.
            spent[program_of(_command(process))] += sum(process.cpu_times()[:4])
    return dict(spent)


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.ZombieProcess:
        # Its parent has not waited for it yet, so its time is not among the parent's.
        return [process.name()]


def program_of(command: Sequence[str]) -> str:
    """The model that a process of the Python backend serves; of other processes the program."""
    model_file = next((part for part in command if part.endswith("/model.py")), None)
    if model_file is not None:
        return model_file.split("/")[-3]
    return (command[0] if command else "unknown").rpartition("/")[2]


def memory_mb(pids: Iterable[int]) -> float:
    """Memory together in MB (10**6 bytes); each process counts its part of shared pages."""
    total = 0
    for pid in pids:
        with contextlib.suppress(*_GONE):
            total += psutil.Process(pid).memory_full_info().pss
    return total / 1e6
