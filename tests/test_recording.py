"""All outputs of a camera of the service together."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import threading
from pathlib import Path

import pytest
from clips import gray, play, write_clip
from rtsp_camera import needs_rtsp, rtsp_recorder
from running import poll
from watched import RATE, watched
from yolostream.outputs.hls import PLAYLIST, Hls
from yolostream.outputs.live import JITTER_S, PlayoutClock
from yolostream.outputs.recording import Recording
from yolostream.outputs.rotation import Rotation
from yolostream.outputs.segments import Segments
from yolostream.sources import Realtime, Video

STREET = [gray(100, width=320, height=240)]


def camera(folder: Path, name: str = "street") -> Realtime:
    clip = folder / f"{name}.mp4"
    return Realtime(Video(str(write_clip(clip, STREET * 2)), name=name), loops=True)


def outputs(recording: Recording, source: Realtime) -> list:
    # The recording is pickled, because a worker is another process.
    recording = pickle.loads(pickle.dumps(recording))
    with contextlib.closing(source.open()) as session:
        assert session.frame_rate == RATE
        return [make() for make in recording.makers(source, session)]


@needs_rtsp
def test_all_outputs_are_written_together_and_closed(tmp_path):
    threads = threading.active_count()
    recorded = tmp_path / "pushed.mkv"
    folder = tmp_path / "results"
    hls = folder / "street" / "hls" / PLAYLIST
    with rtsp_recorder(recorded) as server, contextlib.ExitStack() as stack:
        recording = Recording(
            folder,
            csv=Rotation(),
            segments=Segments(min_free_bytes=0, min_free_percent=0),
            push_url=server.url,
            hls=Hls(),
        )
        made = outputs(recording, camera(tmp_path))
        assert [output.draws for output in made] == [False, False, True, True, True]
        for output in made:
            stack.enter_context(watched(output, STREET))
        poll(lambda: hls.exists() and recorded.exists(), what="live pictures")
        poll(lambda: os.path.getsize(recorded) > 1000, what="pushed pictures")
    assert threading.active_count() == threads
    assert [output.trouble for output in made] == [""] * 5
    found = {path.suffix: path for path in (folder / "street").iterdir()}
    assert set(found) == {".jsonl", ".csv", ".mp4", ""}
    rows = [json.loads(line) for line in found[".jsonl"].read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(len(rows)))
    # Each output has its own thread, so their numbers of frames may differ.
    assert play(found[".mp4"])


def test_by_default_only_json_lines_are_written_and_fit_on_a_small_disk(tmp_path):
    recording = Recording(tmp_path / "results")
    (output,) = outputs(recording, camera(tmp_path))
    with watched(output, STREET):
        poll(lambda: list((tmp_path / "results" / "street").glob("*.jsonl")) != [], what="rows")
    assert 8 * (recording.jsonl.keep.total_bytes + recording.jsonl.max_bytes) < 16e9


def test_the_repr_contains_no_password(tmp_path):
    recording = Recording(tmp_path, push_url="rtsp://admin:tOp-53cret@server/street")
    assert "53cret" not in repr(recording) + str(recording)


def test_frames_keep_their_intervals_if_the_detector_is_uneven():
    pace = PlayoutClock()
    # Frames are captured every 0.1 s and completed 0 to 0.3 s later.
    delays = [0.2, 0.0, 0.3, 0.1, 0.0, 0.3]
    placed = [pace.place(7 + n / 10, 50 + n / 10 + delay) for n, delay in enumerate(delays)]
    assert placed == pytest.approx([50.2 + n / 10 for n in range(6)])


@pytest.mark.parametrize("gap_s", [-7.0, -2 * JITTER_S, 2 * JITTER_S, 3600.0])
def test_the_clock_restarts_after_a_gap(gap_s):
    pace = PlayoutClock()
    assert pace.place(0.0, 50.0) == 50.0
    assert pace.place(1.0, 51.0 + gap_s) == pytest.approx(51.0 + gap_s)
    assert pace.place(1.1, 51.1 + gap_s) == pytest.approx(51.1 + gap_s)
