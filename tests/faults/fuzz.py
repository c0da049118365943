"""Send malformed requests to a server, while every answer to a valid client is checked.

    python -m tests.faults.fuzz --requests 10000

By default, one request in a hundred is of a kind that is known to kill Triton 2.51 or one of its
steps. Ctrl-C ends the run early, with its figures. The exit code is 1 if the valid client got a
wrong answer, or the server did not recover.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import random
import sys
import time

from tests.faults.malformed import HARMLESS, KNOWN_TO_KILL, Send, Target
from tests.faults.service import Service, new_detector, serving
from tests.faults.traffic import Traffic, different_frames

KINDS = {send.__name__: send for send in (*HARMLESS, *KNOWN_TO_KILL)}
_DEATH_SHOWS_S = 0.5


class Fuzz:
    """Sends requests, and waits for recovery if one kills the server.

    Attributes:
        sent: number of requests, by kind.
        deaths: number of requests that ended a process, by kind.
        longest_outage_s: longest time in seconds until the valid client was answered again.
    """

    def __init__(self, service: Service, traffic: Traffic) -> None:
        self.sent: collections.Counter[str] = collections.Counter()
        self.deaths: collections.Counter[str] = collections.Counter()
        self.longest_outage_s = 0.0
        self._service, self._traffic = service, traffic

    def send(self, kind: Send, chance: random.Random) -> None:
        with contextlib.closing(Target(self._service.url, self._service.http_url)) as target:
            kind(target, chance)
        self.sent[kind.__name__] += 1
        if kind in KNOWN_TO_KILL:
            time.sleep(_DEATH_SHOWS_S)
        if self._service.was_lost():
            self.deaths[kind.__name__] += 1
            print(
                f"{self.sent.total()}: {kind.__name__} was deadly", *self._service.new_pause_lines()
            )
            started = time.monotonic()
            self._service.wait_until_healthy(self._traffic.answers)
            self.longest_outage_s = max(self.longest_outage_s, time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help="only this kind; by default all")
    parser.add_argument("--killers", type=float, default=0.01, help="fraction of the known killers")
    options = parser.parse_args()

    chance = random.Random(options.seed)
    with serving() as service, new_detector(service.url, timeout_s=20.0) as detector:
        frames = different_frames(detector)
        with Traffic(detector, frames, threads=2) as traffic:
            fuzz = Fuzz(service, traffic)
            with contextlib.suppress(KeyboardInterrupt):
                for _ in range(options.requests):
                    kinds = KNOWN_TO_KILL if chance.random() < options.killers else HARMLESS
                    kind = KINDS[options.kind] if options.kind else chance.choice(kinds)
                    fuzz.send(kind, chance)
    for name, count in fuzz.sent.most_common():
        print(f"{name}: {count} sent, {fuzz.deaths[name]} deaths")
    print(
        f"{fuzz.sent.total()} requests, {fuzz.deaths.total()} deaths, all recovered from, in "
        f"{fuzz.longest_outage_s:.1f} s at most; the good client: {traffic.right} right, "
        f"{len(traffic.wrong)} wrong answers, errors {dict(traffic.errors)}"
    )
    sys.exit(1 if traffic.wrong else 0)


if __name__ == "__main__":
    main()
