"""The process of a step ends without an answer after a pause, but not because of a computation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from repository import ROOT
from version_folder import part

pause = part("preprocess", "pause")

# Answers repeatedly, like the process of a step.
_STEP = """
import runpy, sys, time
watch = runpy.run_path(sys.argv[1])["PauseWatch"]("step")
{before}
while True:
    time.sleep({every_s})
    watch.check()
    print(time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
"""


@pytest.fixture
def step():
    started = []

    def start(*, every_s: float = 0.02, before: str = "") -> subprocess.Popen[str]:
        program = _STEP.format(every_s=every_s, before=before)
        path = ROOT / "preprocess" / "1" / "pause.py"
        command = [sys.executable, "-c", program, str(path)]
        started.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("paused_s", [0.7, 1.5])
def test_after_a_pause_no_answer_is_sent(step, paused_s):
    process = step()
    process.stdout.readline()
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(paused_s)
    resumed = time.clock_gettime(time.CLOCK_BOOTTIME)
    os.kill(process.pid, signal.SIGCONT)
    answers, log = process.communicate(timeout=60)
    assert process.returncode == pause.EXIT_CODE
    assert all(float(answered) < resumed for answered in answers.split())
    assert log.startswith("step was paused for ")


def test_an_idle_process_ends_after_a_pause(step):
    # A request may have arrived during the pause.
    process = step(every_s=1000, before="print('ready', flush=True)")
    process.stdout.readline()
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(1)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(60) == pause.EXIT_CODE


def test_a_long_computation_that_holds_the_gil_is_no_pause(step):
    # The sum of a range holds the GIL until it is computed.
    holds_the_gil = """
started, count = time.thread_time(), 1 << 20
while time.thread_time() < started + 1.5:
    started, count = time.thread_time(), 2 * count
    sum(range(count))
"""
    process = step(before=holds_the_gil)
    assert [float(process.stdout.readline()) > 0 for _ in range(20)] == [True] * 20


def test_a_thread_that_sleeps_with_the_gil_is_no_pause(step):
    # Triton's own threads do this while they wait for a paused tritonserver.
    process = step(before="import ctypes; ctypes.PyDLL(None).usleep(1_500_000)")
    assert [float(process.stdout.readline()) > 0 for _ in range(20)] == [True] * 20


def test_waiting_for_work_is_no_pause(step):
    process = step(every_s=2)
    assert float(process.stdout.readline()) > 0


def test_the_limit_is_below_the_timeout_of_triton():
    # Triton's timeout of a second, minus the interval between two heartbeats of the process.
    assert pause.LIMIT_S + pause.TICK_S <= 1.0 - 0.3
