"""The client in asyncio, with a real Triton that answers at once, late, or with an error."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import numpy as np
import pytest
import yolostream
from clips import gray
from instant import MODEL, serve_instant
from yolostream import Detector

LATE = gray(222)
"""Its answer takes a third of a second."""
VERY_LATE = gray(236)
"""Its answer takes a second and a half."""
GUIDE = Path(__file__).parents[1] / "docs" / "library.md"


@pytest.fixture(scope="module")
def server():
    with serve_instant() as server:
        yield server


@pytest.fixture(params=["grpc", "shared-memory"])
def detector(server, request):
    with Detector(server.url, MODEL, max_in_flight=2, transport=request.param) as detector:
        yield detector


async def longest_pause(until: asyncio.Task) -> float:
    """The longest pause of the event loop in seconds."""
    longest, before = 0.0, time.monotonic()
    while not until.done():
        await asyncio.sleep(0.001)
        now = time.monotonic()
        longest, before = max(longest, now - before), now
    return longest


async def gathered(calls):
    return await asyncio.gather(*calls)


def test_calls_beyond_the_slots_wait_without_blocking_the_event_loop(detector):
    async def main():
        # With two slots, ten calls take five rounds of a third of a second.
        started = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            calls = tasks.create_task(gathered(detector.detect_async(LATE) for _ in range(10)))
            pause_s = await longest_pause(calls)
        return calls.result(), pause_s, time.monotonic() - started

    found, pause_s, took_s = asyncio.run(main())
    assert [len(one) for one in found] == [0] * 10
    # A call that waited for a slot in the loop itself would block it for four of five rounds.
    assert pause_s < took_s / 2


def test_a_cancelled_call_frees_its_slot_once_the_server_has_answered(detector):
    async def main():
        calls = [asyncio.create_task(detector.detect_async(VERY_LATE)) for _ in range(6)]
        while detector._pool.free.qsize():
            await asyncio.sleep(0.001)
        for call in calls:
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        # The server may still read the frames in both slots.
        assert detector._pool.free.qsize() < 2
        return await detector.detect_async(LATE)

    before = detector.statistics()
    assert len(asyncio.run(main())) == 0
    (totals,) = (after.since(before[step]) for step, after in detector.statistics().items())
    assert totals.requests < 7, "calls that were cancelled before they had a slot were not sent"
    assert detector._pool.free.qsize() == 2


def test_a_submitted_frame_can_be_awaited_with_a_timeout(detector):
    async def main():
        pending = detector.submit(VERY_LATE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pending, 0.01)
        assert not pending.done()
        return await pending

    assert len(asyncio.run(main())) == 0
    assert detector._pool.free.qsize() == 2


def test_errors_are_raised_where_a_call_is_awaited(detector):
    async def main():
        with pytest.raises(yolostream.FrameError, match="float32"):
            await detector.detect_async(np.zeros((8, 8, 3), np.float32))
        with pytest.raises(yolostream.Overloaded):
            await detector.detect_async(gray(250))

    asyncio.run(main())


def test_submit_and_detect_async_do_not_wait_for_each_other(detector):
    async def main():
        calls = [asyncio.create_task(detector.detect_async(LATE)) for _ in range(12)]
        # These get their slots between those calls, and need a thread for their answers.
        submitted = [asyncio.create_task(asyncio.to_thread(detector.submit, LATE)) for _ in "ab"]
        return await asyncio.gather(*await asyncio.gather(*submitted), *calls)

    assert [len(found) for found in asyncio.run(main())] == [0] * 14


def test_waiting_calls_fail_if_the_detector_is_closed(server):
    async def main():
        detector = Detector(server.url, MODEL, max_in_flight=1)
        calls = [asyncio.create_task(detector.detect_async(LATE)) for _ in range(3)]
        while detector._pool.free.qsize():
            await asyncio.sleep(0.001)
        await asyncio.to_thread(detector.close)
        return await asyncio.gather(*calls, return_exceptions=True)

    first, *others = asyncio.run(main())
    assert len(first) == 0
    assert all(isinstance(error, yolostream.ServerUnavailable) for error in others)


def test_the_example_in_the_guide_runs(server, capsys):
    (example,) = re.findall(r"```python\n(import asyncio\n.*?)```", GUIDE.read_text(), re.DOTALL)
    example = example.replace('"127.0.0.1:8001"', f'"{server.url}", "{MODEL}"')
    exec(compile(example, str(GUIDE), "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == "0 objects\n" * 3
