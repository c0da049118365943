"""Viewers of one camera in a process of their own, so that their cost is their own.

    python -m loadtest.live.viewer_process ADDRESS CAMERA NUMBER

Says `ready` when each has a picture. Reads until stdin ends; then says in JSON how many pieces of
video each has received.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from websockets.asyncio.client import connect


async def main(address: str, camera: str, number: int) -> None:
    """Watch until stdin ends."""
    pieces = [0] * number
    watching = [asyncio.create_task(_watch(address, camera, pieces, n)) for n in range(number)]
    while not all(pieces):
        await asyncio.sleep(0.05)
        for task in watching:
            if task.done():
                task.result()
    _say("ready")
    before = list(pieces)
    await asyncio.to_thread(sys.stdin.read)
    _say(json.dumps([now - then for now, then in zip(pieces, before, strict=True)]))
    for task in watching:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _watch(address: str, camera: str, pieces: list[int], number: int) -> None:
    url = f"ws://{address}/api/v1/live"
    async with connect(url, max_size=None, compression=None) as socket:
        await socket.send(json.dumps({"video": [camera]}))
        async for message in socket:
            # Texts are words about the video.
            pieces[number] += isinstance(message, bytes)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
