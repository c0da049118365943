"""A step's process that was paused does not answer, and one that computes does."""

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

# Answers ten times a second, as the process of a step would.
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
def test_after_a_pause_no_answer_leaves(step, paused_s):
    process = step()
    process.stdout.readline()
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(paused_s)
    resumed = time.clock_gettime(time.CLOCK_BOOTTIME)
    os.kill(process.pid, signal.SIGCONT)
    answers, said = process.communicate(timeout=60)
    assert process.returncode == pause.EXIT_CODE
    assert all(float(answered) < resumed for answered in answers.split())
    assert said.startswith("step was paused for ")


def test_a_process_that_is_idle_ends_as_well(step):
    # A request may have come during the pause.
    process = step(every_s=1000, before="print('ready', flush=True)")
    process.stdout.readline()
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(1)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(60) == pause.EXIT_CODE


def test_a_long_computation_that_keeps_python_s_lock_is_no_pause(step):
    # A sum of a range keeps it to its end.
    keeps_the_lock = """
started, count = time.thread_time(), 1 << 20
while time.thread_time() < started + 1.5:
    started, count = time.thread_time(), 2 * count
    sum(range(count))
"""
    process = step(before=keeps_the_lock)
    assert [float(process.stdout.readline()) > 0 for _ in range(20)] == [True] * 20


def test_a_thread_that_sleeps_with_python_s_lock_is_no_pause(step):
    # As Triton's own, while it waits for a tritonserver that is paused.
    process = step(before="import ctypes; ctypes.PyDLL(None).usleep(1_500_000)")
    assert [float(process.stdout.readline()) > 0 for _ in range(20)] == [True] * 20


def test_waiting_for_work_is_no_pause(step):
    process = step(every_s=2)
    assert float(process.stdout.readline()) > 0


def test_the_limit_is_what_triton_may_give_up_after():
    # Its patience, less the time between two signs of life of the process.
    assert pause.LIMIT_S + pause.TICK_S <= 1.0 - 0.3
