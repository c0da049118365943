"""Invalid timestamps in the whole program: the outputs, and the stop of a run."""

from __future__ import annotations

import signal
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import play, retimed, steps, write_clip
from instant import MODEL
from running import check, ended, errors_of, has_lines, lines, poll, started
from yolostream.interruption import EXIT_INTERRUPTED
from yolostream.server.embedded import EmbeddedTriton

RATE = 30
TICK = Fraction(1, 90_000)
STEP = 3000
COUNT = 24


def joined(path: Path, shift_s: int) -> Path:
    """Two joined recordings of 12 pictures, the second with timestamps shifted by `shift_s`."""
    times = [11 * 90_000 + STEP * n + (n >= COUNT // 2) * shift_s * 90_000 for n in range(COUNT)]
    even = [STEP * n for n in range(COUNT)]
    pictures = steps(COUNT // 2) * 2
    return retimed(write_clip(path, pictures, rate=RATE, pts=even, time_base=TICK, gop=1), times)


def options(server: EmbeddedTriton, out: Path) -> tuple[object, ...]:
    return ("--url", server.url, "--model", MODEL, "--output", out)


def written_steps(path: Path) -> list[float]:
    return np.diff([record["pts_seconds"] for record in lines(path)]).tolist()


@pytest.mark.parametrize("workers", [1, 2])
def test_jumps_of_timestamps_cost_no_frame_and_affect_no_other_source(
    tmp_path, instant, workers
) -> None:
    out = tmp_path / "out"
    clips = [
        joined(tmp_path / "leaps.ts", 3600),
        joined(tmp_path / "back.ts", -2),
        write_clip(tmp_path / "even.mp4", steps(10) * 10, rate=RATE),
    ]
    with started(
        tmp_path, "detect", *clips, *options(instant, out), "--workers", workers
    ) as process:
        finished = ended(process)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    for name, shift_s in (("leaps", 3600), ("back", -2)):
        records = lines(out / f"{name}.jsonl")
        assert [record["frame"] for record in records] == list(range(COUNT))
        assert written_steps(out / f"{name}.jsonl") == pytest.approx([1 / RATE] * 23, abs=2e-6)
        # The timestamps of the source are recorded from the first difference on.
        source_times = [record.get("source_pts_seconds") for record in records]
        assert source_times[: COUNT // 2] == [None] * (COUNT // 2)
        assert source_times[-1] == pytest.approx(11 + 23 / RATE + shift_s, abs=1e-5)
        played = np.diff([at for at, _ in play(out / f"{name}.mp4")])
        assert played.tolist() == pytest.approx([1 / RATE] * 23, abs=1e-4)
    tiled = [at for at, _ in play(out / "tiled.mp4")]
    assert tiled == pytest.approx([n / RATE for n in range(100)], abs=1e-4)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_with_a_jump_of_timestamps_can_be_stopped(tmp_path, instant, number) -> None:
    out = tmp_path / "out"
    clips = [
        joined(tmp_path / "leaps.ts", 3600),
        write_clip(tmp_path / "long.mp4", steps(10) * 300, rate=RATE),
    ]
    with started(tmp_path, "detect", *clips, *options(instant, out)) as process:
        poll(lambda: has_lines(out / "leaps.jsonl", COUNT), what="all of the one that leaps")
        poll(lambda: has_lines(out / "long.jsonl", 2 * COUNT), what="the other one to go on")
        process.send_signal(number)
        sent_at = time.monotonic()
        finished = ended(process)
    check(finished, EXIT_INTERRUPTED, "interrupted")
    assert time.monotonic() - sent_at < 30
    assert len(play(out / "leaps.mp4")) == COUNT
    assert len(play(out / "tiled.mp4")) >= COUNT
