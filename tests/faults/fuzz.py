"""Send malformed requests beside a good client, whose every answer is compared.

    python -m tests.faults.fuzz --requests 10000

One request in a hundred is of a kind that is known to kill Triton 2.51 or one of its steps.
Ends with 1 if the good client got one wrong answer, or the server was not brought back.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import time

from tests.faults.malformed import HARMLESS, KNOWN_TO_KILL, Target
from tests.faults.service import Service, new_detector, serving
from tests.faults.traffic import Traffic, different_frames

_DEATH_SHOWS_S = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=[send.__name__ for send in (*HARMLESS, *KNOWN_TO_KILL)])
    parser.add_argument("--killers", type=float, default=0.01, help="share of the known killers")
    options = parser.parse_args()

    chance = random.Random(options.seed)
    sent, deaths = collections.Counter(), collections.Counter()
    outages_s = []
    with serving() as service, new_detector(service.url, timeout_s=20.0) as detector:
        frames = different_frames(detector)
        with Traffic(detector, frames, threads=2) as traffic:
            target = Target(service.url, service.http_url)
            for number in range(options.requests):
                kinds = KNOWN_TO_KILL if chance.random() < options.killers else HARMLESS
                send = chance.choice(kinds)
                if options.kind:
                    (send,) = (
                        one for one in (*HARMLESS, *KNOWN_TO_KILL) if one.__name__ == options.kind
                    )
                send(target, chance)
                sent[send.__name__] += 1
                if kinds is KNOWN_TO_KILL or options.kind:
                    time.sleep(_DEATH_SHOWS_S)
                if service.is_whole():
                    continue
                deaths[send.__name__] += 1
                print(f"{number}: {send.__name__} killed {service.missing()}", flush=True)
                outages_s.append(_heal(service, traffic))
                target.close()
                target = Target(service.url, service.http_url)
    for name, count in sent.most_common():
        print(f"{name}: {count} sent, {deaths[name]} deaths")
    print(
        f"{options.requests} requests, {deaths.total()} deaths, all recovered from, in "
        f"{max(outages_s, default=0):.1f} s at most; the good client: {traffic.right} right, "
        f"{len(traffic.wrong)} wrong answers, errors {dict(traffic.errors)}"
    )
    sys.exit(1 if traffic.wrong else 0)


def _heal(service: Service, traffic: Traffic) -> float:
    started = time.monotonic()
    service.heal(traffic.answers)
    if not traffic.answers(60.0):
        raise SystemExit(f"no answers from a server that was started again: {traffic.errors}")
    return time.monotonic() - started


if __name__ == "__main__":
    main()
