"""`detect --summary`: the figures of a run as JSON, whether it succeeds or not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from clips import steps, write_clip
from yolostream.cli.report import Report
from yolostream.cli.summary import as_dict, write
from yolostream.client.statistics import StepTotals
from yolostream.errors import DeadlineExceeded, OutputError, SourceError
from yolostream.interruption import EXIT_INTERRUPTED
from yolostream.pipeline.status import Status
from yolostream.pipeline.timing import STAGES, StageTimer


@pytest.mark.parametrize("kind", ["a pipe", "a folder"])
def test_only_a_regular_file_is_replaced(kind, tmp_path):
    path = tmp_path / "summary.json"
    path.mkdir() if kind == "a folder" else os.mkfifo(path)
    before = path.stat().st_mode
    with pytest.raises(OutputError, match=f"cannot write .*it is {kind}"):
        write(Report([], {}, tmp_path, 1), path)
    assert path.stat().st_mode == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_summary_has_milliseconds_and_counts(tmp_path):
    status = Status("street", state="ended", frames_expected=4, frames_done=2, elapsed_s=0.5)
    status.dropped = Counter(stale=1)
    status.lose(DeadlineExceeded("too late"))
    status.timer["request"].add(0.010)
    status.timer["decode"].add(0.006)
    report = Report([status], {"nms": StepTotals(2, queue_s=0.002, compute_s=0.004)}, tmp_path, 3)
    figures = as_dict(report)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert (figures["workers"], figures["frames"], figures["frames_per_s"]) == (3, 2, 4.0)
    assert figures["stages_ms"] == dict.fromkeys(STAGES, 0.0) | {"decode": 3.0, "request": 5.0}
    assert figures["server_steps"] == {"nms": {"requests": 2, "queue_ms": 1.0, "compute_ms": 2.0}}
    (source,) = figures["sources"]
    assert (source["dropped"], source["lost"]) == ({"stale": 1}, {"DeadlineExceeded": 1})
    assert abs(source["request_ms"]["p50"] - 10) < 0.3
    assert source["age_ms"] == {"p50": None, "p99": None}
    assert figures["errors"] == ["street: 1 frame was lost: too late"]


def test_the_summary_names_a_source_that_could_not_be_read(tmp_path, triton, yolostream_cli):
    path = write_clip(tmp_path / "clip.mp4", steps(4))
    summary = tmp_path / "figures" / "summary.json"
    done = yolostream_cli(
        *("detect", path, tmp_path / "gone.mp4", "--url", triton.url, "--output", tmp_path / "out"),
        *("--summary", summary, "--save", "jsonl"),
    )
    assert done.returncode == SourceError.exit_code
    figures = json.loads(summary.read_text())
    (source,) = figures["sources"]
    written = (tmp_path / "out" / "clip.jsonl").read_text().splitlines()
    assert source["frames"] == source["frames_expected"] == len(written)
    assert source["age_ms"]["p99"] >= source["age_ms"]["p50"] > 0
    assert figures["server_steps"]["nms"]["requests"] >= len(written)
    assert "gone.mp4" in figures["errors"][0]
    assert not figures["interrupted"]


def test_the_warm_up_is_left_out_of_the_figures(tmp_path, triton, yolostream_cli):
    # The clips take 12 s; the start of the workers is part of the warm-up.
    clips = [write_clip(tmp_path / f"{name}.mp4", steps(4) * 30, rate=10) for name in "ab"]
    summary = tmp_path / "summary.json"
    done = yolostream_cli(
        *("detect", *clips, "--url", triton.url, "--output", tmp_path / "out", "--realtime"),
        *("--workers", "2", "--save", "jsonl", "--summary", summary, "--warm-up", "9"),
    )
    assert done.returncode == 0
    for source in json.loads(summary.read_text())["sources"]:
        written = (tmp_path / "out" / f"{source['name']}.jsonl").read_text().splitlines()
        assert 0 < source["frames"] < len(written)
        assert source["age_ms"]["p99"] >= source["age_ms"]["p50"] > 0
        assert source["request_ms"]["p50"] > 0


def test_errors_of_the_warm_up_are_kept():
    before = Status("street", frames_done=5, objects=7, elapsed_s=1.0)
    before.dropped = Counter(stale=3, superseded=1)
    before.lose(DeadlineExceeded("too late"))
    before.timer["request"].add(9.0)
    now = replace(before, frames_done=15, objects=10, elapsed_s=3.0, tracks=4)
    now.dropped = Counter(stale=3, superseded=3)
    now.timer = before.timer + StageTimer()
    now.timer["request"].add(0.010)
    since = now.since(before)
    assert (since.frames_done, since.objects, since.tracks) == (10, 3, 4)
    assert (since.frames_per_second, since.dropped) == (5.0, {"superseded": 2})
    assert since.lost == {"DeadlineExceeded": 1}
    assert abs(since.timer["request"].percentile_s(99) - 0.010) < 0.0003
    anew = replace(before, frames_done=2)
    assert anew.since(before) is anew


def test_ctrl_c_writes_a_summary(tmp_path, triton):
    path = write_clip(tmp_path / "clip.mp4", steps(4) * 200)
    rows = tmp_path / "out" / "clip.jsonl"
    command = [sys.executable, "-m", "yolostream", "detect", path, "--url", triton.url]
    options = ["--output", rows.parent, "--save", "jsonl", "--summary", tmp_path / "summary.json"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (rows.exists() and rows.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == EXIT_INTERRUPTED
    figures = json.loads((tmp_path / "summary.json").read_text())
    assert figures["interrupted"]
    assert 0 < figures["frames"] < figures["sources"][0]["frames_expected"]


def test_a_summary_that_cannot_be_written_is_an_error_after_the_results(
    tmp_path, triton, yolostream_cli
):
    path = write_clip(tmp_path / "clip.mp4", steps(2))
    (tmp_path / "taken").mkdir()
    done = yolostream_cli(
        *("detect", path, "--url", triton.url, "--output", tmp_path / "out"),
        *("--summary", Path(tmp_path / "taken"), "--save", "jsonl"),
    )
    assert done.returncode == OutputError.exit_code
    assert "--summary" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "clip.jsonl").read_text().count("\n") >= 2
