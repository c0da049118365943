"""Which member of a group runs which camera: all who ask get the same answer."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping


def assigned(cameras: Iterable[str], members: Mapping[str, str]) -> dict[str, str]:
    """Share cameras out evenly, so that few move where members come and go.

    Rendezvous hashing (Thaler and Ravishankar, 1996) with room for the share of each: pairs of a
    camera and a member are taken by their weights, the heaviest first, while both are free.

    Args:
        cameras: their names.
        members: the name of the instance of each session. One that was started again weighs what it
            weighed before.

    Returns:
        The session for each camera: each has as many as any other, or one more. Nothing without
        members.
    """
    names = sorted(set(cameras))
    if not members:
        return {}
    share, larger = divmod(len(names), len(members))
    pairs = [
        (-_weight(name, instance), name, session)
        for name in names
        for session, instance in members.items()
    ]
    heapq.heapify(pairs)
    found: dict[str, str] = {}
    counts: Counter[str] = Counter()
    while len(found) < len(names):
        _, name, session = heapq.heappop(pairs)
        if name in found or counts[session] >= share + (larger > 0):
            continue
        counts[session] += 1
        larger -= counts[session] > share
        found[name] = session
    return found


def _weight(camera: str, instance: str) -> int:
    words = f"{camera}\n{instance}".encode()
    return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest())
