"""Kill steps of a supervised server, and measure the time until frames are answered again.

    python -m tests.faults.kills --rounds 10

Threads send frames continuously to a server with the profile `cpu`. Each round has its own server
and one fault. The time is measured from the signal until the server has restarted and all threads
have been answered. Every answer is compared with an earlier answer for the same frame.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.service import STEPS, Service, new_detector, serving
from tests.faults.traffic import Traffic, different_frames

THREADS = 4
BACK_WITHIN_S = 10.0
"""The documented limit for the profile `cpu`."""

_GIVE_UP_S = 120.0
_WELL_S = 4.0


@dataclass(frozen=True)
class Round:
    took_s: float
    right: int
    errors: int
    wrong: int


def seconds_until_back(service: Service, traffic: Traffic, part: str, number: int) -> float:
    """Send a signal to one process, and wait until all threads are answered again."""
    restarts = service.health.restarts
    at = time.monotonic()

    def wait_until(condition: Callable[[], bool]) -> None:
        while not condition():
            if time.monotonic() - at > _GIVE_UP_S:
                sys.exit(f"no answers {_GIVE_UP_S:g} s after the end of {part}")
            time.sleep(0.02)

    os.kill(service.processes(part)[0], number)
    wait_until(lambda: service.health.restarts > restarts and service.health.is_up)
    up_at = time.monotonic()
    wait_until(lambda: traffic.all_answered_since(up_at))
    return time.monotonic() - at


def run_round(part: str, number: int) -> Round:
    with serving() as service, new_detector(service.url, timeout_s=30) as detector:
        frames = different_frames(detector)
        with Traffic(detector, frames, THREADS) as traffic:
            time.sleep(_WELL_S)
            took_s = seconds_until_back(service, traffic, part, number)
        return Round(took_s, traffic.right, traffic.errors.total(), len(traffic.wrong))


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill steps of a supervised server.")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--signal", choices=("SIGKILL", "SIGSTOP"), default="SIGKILL")
    parser.add_argument("victims", nargs="*", default=[*STEPS, "tritonserver"])
    options = parser.parse_args()
    failed = False
    for part in options.victims:
        rounds = [run_round(part, signal.Signals[options.signal]) for _ in range(options.rounds)]
        took = [one.took_s for one in rounds]
        wrong = sum(one.wrong for one in rounds)
        failed |= wrong > 0 or max(took) > BACK_WITHIN_S
        print(
            f"{options.signal} of {part}, {len(rounds)} times: all threads answered after "
            f"{statistics.median(took):.1f} s (median), {max(took):.1f} s (worst); "
            f"{sum(one.right for one in rounds)} right answers, {wrong} wrong ones, "
            f"{sum(one.errors for one in rounds)} errors",
            flush=True,
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
