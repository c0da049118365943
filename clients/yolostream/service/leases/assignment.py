"""Assigns cameras to instances. All instances compute the same assignment."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping


def assigned(cameras: Iterable[str], members: Mapping[str, str]) -> dict[str, str]:
    """Distribute cameras evenly, so that few of them move when members come and go.

    Rendezvous hashing (Thaler and Ravishankar, 1996) with bounded loads: pairs of a camera and a
    member are considered in the order of their hashes, and assigned if the member has room.

    Args:
        cameras: names of the cameras.
        members: name of the instance of each session. An instance that was restarted keeps its
            hashes.

    Returns:
        The session of each camera; loads differ by one camera at most. Empty without members.
    """
    names = sorted(set(cameras))
    if not members:
        return {}
    least, remainder = divmod(len(names), len(members))
    pairs = [
        (-_weight(name, instance), name, session)
        for name in names
        for session, instance in members.items()
    ]
    heapq.heapify(pairs)
    sessions: dict[str, str] = {}
    counts: Counter[str] = Counter()
    while len(sessions) < len(names):
        _, name, session = heapq.heappop(pairs)
        if name in sessions or counts[session] >= least + (remainder > 0):
            continue
        counts[session] += 1
        remainder -= counts[session] > least
        sessions[name] = session
    return sessions


def _weight(camera: str, instance: str) -> int:
    pair = f"{camera}\n{instance}".encode()
    return int.from_bytes(hashlib.blake2b(pair, digest_size=8).digest())
