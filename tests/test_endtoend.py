"""The benchmark of the whole program: its parts without a server, and a quick run on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import av
import pytest
from clips import steps, write_clip
from conftest import REPOSITORY
from yolostream.errors import ServerUnavailable

from loadtest import clips
from loadtest.endtoend import plan, table
from loadtest.endtoend.client import Client, figures_of, threshold
from loadtest.endtoend.measuring import failures
from loadtest.endtoend.plan import Length, Scenario
from loadtest.endtoend.watching import Moment, Watched, steady
from loadtest.errors import LoadTestError
from loadtest.options import counts


def run_of(kind="all_out", sources=48, frames_per_s=1800.0, **more):
    return {
        **asdict(Scenario(kind, sources, "gpu", frames_each=300)),
        "frames": sources * 300,
        "frames_per_s": frames_per_s,
        "objects_per_frame": 20.1,
        "worker_count": 8,
        "dropped": 0,
        "lost": 0,
        "age_ms": {"p50": 40.0, "p99": 80.0, "worst_p99": 90.0},
        "client_cpu_ms": 2.5,
        "server_cpu_ms": {"tritonserver": 1.5, "nms": 0.25, "preprocess": 0.5},
        "memory_mb": 3130.0,
        **more,
    }


@pytest.fixture
def figures():
    slow_decoder = run_of(frames_per_s=1950.0, decoder="cpu")
    return {
        "profile": "torch-gpu",
        "decoders": ["gpu", "cpu"],
        "seconds": 10.0,
        "warm_up_s": 8.0,
        "gpu": {"gpus": [["NVIDIA H200", "580"]], "cuda": "13.0", "server_packages": {}},
        "network": {"words": "a network"},
        "material": "clips",
        "objects": {"confidence": 0.4321, "wanted": 20, "all": 64.6},
        "own_rate": {
            "asked_by": "perf_analyzer",
            "first": {"frames_per_s": 2100.0},
            "last": {"frames_per_s": 1900.0},
            "frames_per_s": 2000.0,
        },
        "runs": {
            "all_out-8": run_of(sources=8, frames_per_s=1500.0, client_cpu_ms=2.0),
            "all_out-48": run_of(),
            "all_out-48-1": run_of(frames_per_s=700.0, workers=1, memory_mb=900.0),
            "all_out-48-cpu": slow_decoder,
            "annotated-1": run_of("annotated", 1, 170.0),
            "annotated-2": run_of("annotated", 2, 100.0),
            "cameras-48": run_of("cameras", 48, 1440.0, dropped=1200),
            "all_objects-8": {
                **asdict(Scenario("all_objects", 8, "gpu", frames_each=300)),
                "error": "no end: stopped",
            },
        },
        "cameras": {"most": 47, "steps": []},
    }


def values(figures):
    return [check.of(figures) for check in table.CHECKS]


def test_the_values_for_the_bars_are_computed_from_the_figures(figures):
    # With the GPU's decoder, which is the first one.
    assert values(figures) == pytest.approx([0.9, 47, 2.5, 170, 50, 60])
    assert values({"decoders": ["cpu"], "profile": "cpu"}) == [None] * 6


def test_missed_and_failed_bars_are_bold(figures):
    text = table.judged(figures)
    assert "| at least 0.85 | 0.90, met |" in text
    assert "| at least 48 | **47, missed** |" in text
    assert "| at least 55 frames/s | **50 frames/s, missed** |" in text
    assert "| at most 60 MB | 60 MB, met |" in text
    assert "asked by perf_analyzer | | 2,100 and 1,900 frames/s |" in text
    del figures["runs"]["annotated-1"]
    assert "| at least 163 frames/s | **failed** |" in table.judged(figures)
    figures["profile"] = "cpu"
    assert "missed" not in table.judged(figures)


def test_every_run_has_a_row(figures):
    text = table.runs(figures)
    assert "has about 20 of 65" in table.section({"figures": figures})
    assert (
        "| 48 as fast as they go | GPU | 8 | 20 | 1,800.0 | 0.90 | 2.5, 1.5, 0.8 | 3,130 MB | "
        "40 ms | 80 ms |" in text
    )
    assert "| 1,440.0, 1,200 left out | 0.72 |" in text
    assert "| 8 the same, every object | GPU | | | **failed** |" in text
    lines = text.splitlines()
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    assert failures(figures) == ["all_objects-8: no end: stopped"]


def test_the_reason_why_cameras_do_not_hold_is_named():
    held = run_of("cameras", 48, 1440.0, frames_each=540)
    assert plan.breaks(held) == ""
    assert plan.breaks({**held, "dropped": 2, "lost": 1}) == "3 of 14400 frames left out"
    assert plan.breaks({**held, "frames": 48 * 300 - 7}) == "7 frames missing"
    assert plan.breaks({**held, "frames_per_s": 1300.0}) == "27.1 frames/s each"
    late = {"p50": 50.0, "p99": 90.0, "worst_p99": 120.0}
    assert plan.breaks({**held, "age_ms": late}) == "p99 age 120 ms"
    assert plan.breaks({**held, "error": "no end"}) == "no end"


def test_the_steady_rate_excludes_the_start_and_the_end():
    # Two seconds of start, ten at 100 frames/s, and an end with one remaining source.
    ramp = [Moment(100.0 + second, 50, 3.0 * second) for second in range(3)]
    middle = [Moment(102.0 + n, 50 + 100 * n, 6.0 + 0.3 * n) for n in range(1, 11)]
    end = [Moment(112.0 + second, 1050 + 10 * second, 9.0) for second in range(1, 4)]
    # Without the start: 3 ms per frame instead of 9 ms.
    assert steady([*ramp, *middle, *end]) == pytest.approx((100, 3))
    assert steady(middle[:2]) is None
    assert steady([]) is None


def test_the_figures_of_a_run_are_per_frame_and_include_the_worst_source():
    source = {"objects": 10, "dropped": {"stale": 2}, "lost": {}, "frames": 5}
    sources = [
        {**source, "age_ms": {"p50": age, "p99": 2 * age}, "request_ms": {"p50": None, "p99": None}}
        for age in (10.0, 20.0, 30.0)
    ]
    age_ms = {"p50": 18.0, "p99": 55.0}
    summary = {"sources": sources, "frames": 20, "frames_per_s": 4.0, "workers": 2}
    summary["age_ms"] = age_ms
    figures = figures_of(summary, Watched([], [100.0, 120.0]), 100, 0.5, {"nms": 0.1})
    assert figures["frames_per_s"] == figures["whole_frames_per_s"] == 4.0
    assert (figures["objects_per_frame"], figures["dropped"], figures["memory_mb"]) == (
        1.5,
        6,
        120.0,
    )
    assert figures["age_ms"] == {**age_ms, "worst_p99": 60.0}
    assert figures["request_ms"] == {"p50": None, "p99": None}
    assert (figures["client_cpu_ms"], figures["server_cpu_ms"]) == (5.0, {"nms": 1.0})


def test_the_confidence_threshold_keeps_the_wanted_number_of_objects_on_average():
    scores = [[0.9, 0.8, 0.3], [0.70009, 0.2]]
    assert threshold(scores, wanted=1) == 0.8
    assert threshold([[0.9, 0.70009], [0.8, 0.2, 0.1]], wanted=1) == 0.8
    assert threshold([[0.9, 0.70009, 0.1]], wanted=2) == 0.7
    assert threshold(scores, wanted=20) == 0.0


def test_each_number_of_sources_runs_with_each_decoder_and_eight_also_in_one_process(monkeypatch):
    monkeypatch.setattr(plan, "workers_for", lambda sources: -(-sources // 4))
    runs = list(plan.files((1, 8, 24), ("gpu", "cpu"), Length(10, 2000)))
    assert [run.name for run in runs] == [
        *("all_out-1-gpu", "all_out-1-cpu"),
        *("all_out-8-gpu", "all_out-8-cpu", "all_out-8-gpu-1-workers"),
        *("all_out-24-gpu", "all_out-24-cpu"),
        *("all_objects-8-gpu", "annotated-1-gpu", "annotated-2-gpu"),
    ]
    *_, objects, one, two = plan.files((1, 2, 24), ("gpu",), Length(10, 300))
    assert (objects.sources, one.frames_each, two.frames_each) == (2, 2000, 1500)


def test_numbers_of_sources_are_read_from_the_command_line():
    assert counts("8, 1,8") == (1, 8)
    for text in ("", "0", "1;2", "two"):
        with pytest.raises(LoadTestError, match="--cameras take numbers"):
            counts(text)


@pytest.mark.parametrize("full_hd", [False, True])
def test_clips_have_the_given_length_and_can_be_decoded(full_hd, tmp_path, monkeypatch):
    short = [write_clip(tmp_path / f"{n}.mp4", steps(10), rate=30) for n in "ab"]
    monkeypatch.setattr(clips, "CLIPS", short)
    made = clips.material(tmp_path / "made", frames=25, full_hd=full_hd)
    assert ("1920x1080" in made.words) == full_hd
    assert made.of(3) == [made.paths[0], made.paths[1], made.paths[0]]
    for path in made.paths:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            times = [frame.time for frame in container.decode(video=0)]
            assert stream.codec_context.name == "h264"
        assert times == pytest.approx([number / 30 for number in range(30)], abs=1e-3)
    before = [path.stat().st_mtime_ns for path in made.paths]
    again = clips.material(tmp_path / "made", frames=30, full_hd=full_hd)
    assert [path.stat().st_mtime_ns for path in again.paths] == before
    assert not list((tmp_path / "made").glob("new-*"))


def test_a_failed_run_is_recorded_and_keeps_its_log(tmp_path):
    made = clips.Material((write_clip(tmp_path / "clip.mp4", steps(4)),), "a clip")
    client = Client("127.0.0.1:1", (), lambda: 0, made, 0.0, 1.0, tmp_path / "raw")
    figures = client.measure(Scenario("all_out", 1, "cpu", 4))
    assert figures["error"].startswith(f"detect ended with {ServerUnavailable.exit_code}: error: ")
    assert "127.0.0.1:1" in figures["error"]
    assert (tmp_path / "raw" / "all_out-1-cpu" / "detect.log").exists()


def test_a_wrong_number_is_reported_before_the_network_is_made(tmp_path):
    options = ["--profile", "cpu", "--sources", "two", "--onnx", tmp_path / "missing.onnx"]
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.endtoend", *options, "--output", tmp_path / "e.json"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == LoadTestError.exit_code
    assert done.stderr.endswith("numbers such as 1,2,8, not 'two'\n")


@pytest.mark.usefixtures("only_perf_analyzer")
def test_a_quick_run_on_the_cpu(tmp_path):
    output = tmp_path / "endtoend.json"
    options = ["--profile", "cpu", "--quick", "--sources", "1", "--raw", tmp_path / "raw"]
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.endtoend", *options, "--output", output],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(output.read_text())
    assert not written["partial"]
    figures = written["figures"]
    assert figures["own_rate"]["frames_per_s"] > 0
    assert {"all_out-1-cpu", "annotated-2-cpu", "cameras-1-cpu"} <= set(figures["runs"])
    for run in figures["runs"].values():
        assert run["frames"] > 0
        assert run["frames_per_s"] > 0
        assert run["client_cpu_ms"] > 0
        assert run["server_cpu_ms"]["tritonserver"] > 0
        assert run["memory_mb"] > 20
    assert str(tmp_path) not in json.dumps(figures)
    assert None not in values(figures)
    assert "| 1 as fast as they go | CPU |" in done.stdout
    # The results are removed; the log and the summary are kept.
    (run_folder,) = (tmp_path / "raw").glob("*/all_out-1-cpu")
    assert {path.name for path in run_folder.iterdir()} == {"detect.log", "summary.json"}
