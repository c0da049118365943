"""Sends frames to servers until stdin is closed, then prints the number of each outcome as JSON.

python tests/docker_load.py dns:///triton:8001
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter, deque

import numpy as np
from yolostream import Detector, YolostreamError

IN_FLIGHT = 12


def main() -> None:
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    frame = np.full((36, 64, 3), 114, np.uint8)
    outcomes: Counter[str] = Counter()
    with Detector(sys.argv[1], "instant", max_in_flight=IN_FLIGHT, timeout_s=30) as detector:
        pending = deque(detector.submit(frame) for _ in range(IN_FLIGHT))
        at = time.monotonic()
        while pending:
            error = pending.popleft().exception()
            outcomes["answered" if error is None else type(error).__name__] += 1
            if not ended.is_set():
                try:
                    pending.append(detector.submit(frame))
                except YolostreamError as error:
                    outcomes[type(error).__name__] += 1
        json.dump({**outcomes, "seconds": time.monotonic() - at}, sys.stdout)


if __name__ == "__main__":
    main()
