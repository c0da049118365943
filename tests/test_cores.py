from __future__ import annotations

import os

import pytest
from busy_cores import wait_until_busy
from yolostream.server.cores import busy_poll_cores

ALL = os.sched_getaffinity(0)


def test_every_core_is_kept_busy_at_the_lowest_priority_until_the_block_ends():
    wait_until_busy(set())
    with busy_poll_cores():
        wait_until_busy(ALL)
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
    wait_until_busy(set())


def test_cores_become_idle_after_an_error_in_the_block():
    def fail():
        wait_until_busy(ALL)
        raise RuntimeError

    with pytest.raises(RuntimeError), busy_poll_cores():
        fail()
    wait_until_busy(set())


def test_only_cores_that_the_process_may_use_are_kept_busy():
    first = min(ALL)
    os.sched_setaffinity(0, {first})
    try:
        with busy_poll_cores():
            wait_until_busy({first})
    finally:
        os.sched_setaffinity(0, ALL)
