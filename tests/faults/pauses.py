"""Pause the server and its steps under load, and count answers with another frame's boxes.

    python -m tests.faults.pauses --pauses 50

The exit code is 1 if an answer was wrong.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import time

from tests.faults.service import Service, new_detector, serving
from tests.faults.traffic import Traffic, different_frames

PARTS = ("group", "preprocess", "yolov7_fp16", "nms", "tritonserver")
_SETTLED_S = 2.0
_LONGEST_S = 10.0


def lengths(seed: int) -> list[float]:
    """Lengths of pauses in seconds: many near Triton's timeout of one second, some long ones."""
    chance = random.Random(seed)
    return [chance.choice((0.5, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0)) for _ in range(9)] + [
        _LONGEST_S
    ]


def one_pause(service: Service, traffic: Traffic, part: str, seconds: float) -> tuple[int, bool]:
    """Pause a part and wait for recovery; return the wrong answers, and whether it restarted."""
    before = len(traffic.wrong)
    service.pause(part, seconds)
    time.sleep(_SETTLED_S)
    log_lines = service.new_pause_lines()
    restarted = service.wait_until_healthy(traffic.answers)
    wrong = len(traffic.wrong) - before
    lost = "restarted" if restarted else "well"
    print(
        f"{part} {seconds:g} s: {wrong} wrong answers, {lost}", *log_lines, sep="\n  ", flush=True
    )
    return wrong, restarted


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.pauses", description=__doc__)
    parser.add_argument("--pauses", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    options = parser.parse_args()

    plan = [
        (part, seconds)
        for round_ in range(-(-options.pauses // (10 * len(options.parts))))
        for seconds in lengths(options.seed + round_)
        for part in options.parts
    ][: options.pauses]
    wrong, deaths = collections.Counter(), collections.Counter()
    with serving() as service, new_detector(service.url, timeout_s=20.0) as detector:
        frames = different_frames(detector)
        with Traffic(detector, frames) as traffic:
            for part, seconds in plan:
                count, died = one_pause(service, traffic, part, seconds)
                wrong[part] += count
                deaths[part] += died
    for part in options.parts:
        pauses = sum(paused == part for paused, _ in plan)
        print(f"{part}: {pauses} pauses, {wrong[part]} wrong answers, {deaths[part]} restarts")
    print(f"{len(plan)} pauses: {traffic.right} right, {len(traffic.wrong)} wrong answers")
    print(f"errors: {dict(traffic.errors)}")
    sys.exit(1 if traffic.wrong else 0)


if __name__ == "__main__":
    main()
