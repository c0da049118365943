"""A fault costs no more than necessary; with real servers, workers and cameras."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from clips import gray, noise, play, steps, write_clip
from fault_proxy import fault_proxy
from instant import MODEL, serve_instant
from rtsp_camera import needs_rtsp, rtsp_camera
from running import (
    check,
    check_nothing_left,
    ended,
    errors_of,
    has_lines,
    lines,
    poll,
    started,
)
from yolostream.errors import DeadlineExceeded, OutputError, Overloaded, SourceError
from yolostream.interruption import EXIT_INTERRUPTED
from yolostream.server.embedded import EmbeddedTriton, Ports

OVERLOADED, SLOW, SLUGGISH = gray(250), gray(236), gray(222)


def run(yolostream_cli, server: EmbeddedTriton, out: Path, *arguments: object):
    options = ("--url", server.url, "--model", MODEL, "--output", out)
    return yolostream_cli("detect", *arguments, *options)


def frames_in(path: Path) -> list[int]:
    return [record["frame"] for record in lines(path)]


# One frame


@pytest.mark.parametrize(("image", "error"), [(OVERLOADED, Overloaded), (SLOW, DeadlineExceeded)])
def test_an_error_of_one_frame_costs_that_frame(
    tmp_path, yolostream_cli, instant, image, error
) -> None:
    path = write_clip(tmp_path / "clip.mp4", [*steps(6), image, *steps(6)])
    # One frame in flight, so that the next one does not time out behind the slow one.
    slowly = ("--timeout", 1, "--in-flight", 1)
    finished = run(yolostream_cli, instant, tmp_path / "out", path, *slowly)
    check(finished, error.exit_code, "clip: 1 frame was lost", instant.url)
    assert frames_in(tmp_path / "out" / "clip.jsonl") == [n for n in range(13) if n != 6]
    assert len(play(tmp_path / "out" / "clip.mp4")) == 12
    assert f"1 {error.__name__}" in finished.stdout


# The server


@pytest.mark.parametrize("workers", [1, 2])
def test_a_restart_of_the_server_costs_no_frame_of_a_file(tmp_path, workers) -> None:
    clips = [write_clip(tmp_path / f"{name}.mp4", steps(5) * 80) for name in "ab"]
    out = tmp_path / "out"
    with contextlib.ExitStack() as running:
        server = running.enter_context(serve_instant())
        options = ("--url", server.url, "--model", MODEL, "--output", out, "--save", "jsonl")
        with started(tmp_path, "detect", *clips, *options, "--workers", workers) as process:
            poll(lambda: has_lines(out / "a.jsonl", 50), what="fifty frames")
            running.close()
            time.sleep(2)
            with serve_instant(Ports(grpc=server.ports.grpc)):
                finished = ended(process)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    for name in "ab":
        assert frames_in(out / f"{name}.jsonl") == list(range(400))


def test_a_restart_of_the_server_costs_a_camera_only_the_outage(tmp_path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", steps(5) * 40, rate=20)
    out = tmp_path / "out"
    with contextlib.ExitStack() as running:
        server = running.enter_context(serve_instant())
        options = ("--url", server.url, "--model", MODEL, "--output", out, "--save", "jsonl")
        with started(tmp_path, "detect", clip, *options, "--realtime") as process:
            poll(lambda: has_lines(out / "clip.jsonl", 10), what="ten frames")
            running.close()
            with serve_instant(Ports(grpc=server.ports.grpc)):
                finished = ended(process)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    assert "server_unavailable" in finished.stdout
    seen = frames_in(out / "clip.jsonl")
    assert seen == sorted(set(seen))
    assert seen[-1] == 199
    assert 30 < len(seen) < 200


# The workers


def worker_of(process) -> psutil.Process:
    """A worker process."""
    children = psutil.Process(process.pid).children()
    return next(child for child in children if "spawn_main" in " ".join(child.cmdline()))


def test_a_killed_worker_is_restarted_and_its_files_are_complete(tmp_path, instant) -> None:
    clips = [write_clip(tmp_path / f"{name}.mp4", steps(5) * 80) for name in "abcd"]
    out = tmp_path / "out"
    options = ("--url", instant.url, "--model", MODEL, "--output", out)
    with started(tmp_path, "detect", *clips, *options, "--workers", 2) as process:
        poll(lambda: has_lines(out / "a.jsonl", 20), what="twenty frames")
        worker_of(process).kill()
        finished = ended(process)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    assert finished.stderr.replace("\n", " ").count("ended with code -9 and is started again") == 1
    for name in "abcd":
        assert frames_in(out / f"{name}.jsonl") == list(range(400))
        assert len(play(out / f"{name}.mp4")) == 400
    assert len(play(out / "tiled.mp4")) == 400
    check_nothing_left(tmp_path)


# The outputs


def test_a_full_disk_ends_only_one_output(tmp_path, yolostream_cli, instant) -> None:
    images = [noise(n) for n in range(24)]
    path = write_clip(tmp_path / "clip.mp4", images, rate=2)
    other = write_clip(tmp_path / "other.mp4", steps(9))
    out = tmp_path / "out"
    saved = ("--save", "mp4", "--save", "jsonl")
    finished = yolostream_cli(
        *("detect", path, other, "--url", instant.url, "--model", MODEL, "--output", out),
        *saved,
        largest_file=700_000,
    )
    check(finished, OutputError.exit_code, f"cannot write {out / 'clip.mp4'}", "free space")
    assert frames_in(out / "clip.jsonl") == list(range(24))
    assert frames_in(out / "other.jsonl") == list(range(9))
    assert len(play(out / "other.mp4")) == 9


# The sources


def test_five_broken_sources_of_64_are_named_and_do_not_affect_others(
    tmp_path, yolostream_cli, instant
) -> None:
    for n in range(64):
        if n % 13 == 3:
            (tmp_path / f"{n:02}.mp4").write_text("no video")
        else:
            write_clip(tmp_path / f"{n:02}.mp4", steps(3))
    broken = [f"{n:02}.mp4" for n in range(64) if n % 13 == 3]
    assert len(broken) == 5
    out = tmp_path / "out"
    saved = ("--save", "jsonl", "--workers", 2)
    finished = run(yolostream_cli, instant, out, f"{tmp_path}/*.mp4", *saved)
    assert finished.returncode == SourceError.exit_code
    errors = errors_of(finished)
    assert len(errors) == 5
    assert all(any(name in error for error in errors) for name in broken)
    assert len(list(out.glob("*.jsonl"))) == 59
    assert all(frames_in(path) == [0, 1, 2] for path in out.glob("*.jsonl"))


@needs_rtsp
def test_a_source_without_a_first_frame_does_not_block_others(
    tmp_path, yolostream_cli, instant
) -> None:
    path = write_clip(tmp_path / "clip.mp4", steps(9))
    with rtsp_camera(path) as camera, fault_proxy(camera.url) as proxy:
        proxy.mode = "silent"
        finished = run(yolostream_cli, instant, tmp_path / "out", path, proxy.url)
    check(finished, SourceError.exit_code, f"cannot read {proxy.url}", "check the address")
    assert frames_in(tmp_path / "out" / "clip.jsonl") == list(range(9))
    assert len(play(tmp_path / "out" / "tiled.mp4")) == 9


@needs_rtsp
def test_a_camera_that_closes_its_connection_is_opened_again(tmp_path, instant) -> None:
    path = write_clip(tmp_path / "cam.mp4", steps(5) * 6, rate=15)
    out = tmp_path / "out"
    with rtsp_camera({"cam": path}) as camera, fault_proxy(camera.url) as proxy:
        options = ("--url", instant.url, "--model", MODEL, "--output", out, "--save", "jsonl")
        with started(tmp_path, "detect", proxy.url, *options) as process:
            poll(lambda: has_lines(out / "cam.jsonl", 10), what="ten frames")
            proxy.mode = "close"
            time.sleep(0.3)
            proxy.mode = "forward"
            before = len(lines(out / "cam.jsonl"))
            poll(lambda: has_lines(out / "cam.jsonl", before + 20), what="it to come back")
            process.send_signal(signal.SIGINT)
            finished = ended(process)
    check(finished, EXIT_INTERRUPTED, "interrupted")
    log = finished.stderr.replace("\n", " ")
    assert "cam: live -> backoff: the stream ended; opened again in" in log
    assert log.count("cam: connecting -> live") == 1
    records = lines(out / "cam.jsonl")
    times = [record["pts_seconds"] for record in records]
    assert times == sorted(set(times))
    seen = [record["frame"] for record in records]
    assert seen == sorted(set(seen))


@needs_rtsp
def test_a_slow_server_drops_frames_of_a_camera_but_does_not_age_them(tmp_path, instant) -> None:
    # The camera has 15 frames per second, and the server answers 3 of them.
    path = write_clip(tmp_path / "cam.mp4", [SLUGGISH] * 30, rate=15)
    out = tmp_path / "out"
    options = ("--url", instant.url, "--model", MODEL, "--output", out, "--save", "jsonl")
    with (
        rtsp_camera({"cam": path}) as camera,
        started(
            tmp_path, "detect", camera.url, *options, "--summary", tmp_path / "summary.json"
        ) as process,
    ):
        poll(lambda: has_lines(out / "cam.jsonl", 30), what="thirty frames")
        process.send_signal(signal.SIGINT)
        assert ended(process).returncode == EXIT_INTERRUPTED
    (cam,) = json.loads((tmp_path / "summary.json").read_text())["sources"]
    assert cam["dropped"]["superseded"] > 20
    # Three frames are in flight and one waits in the mailbox, which takes 1.5 s. With an unlimited
    # queue, the age would be 8 s.
    assert cam["age_ms"]["p99"] < 5000


# Ctrl-C


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.5, 3.0])
def test_ctrl_c_at_any_moment_ends_all_workers_and_leaves_complete_files(
    tmp_path, instant, after_s
) -> None:
    clips = [write_clip(tmp_path / f"{name}.mp4", steps(5) * 400) for name in "abc"]
    out = tmp_path / "out"
    options = ("--url", instant.url, "--model", MODEL, "--output", out, "--workers", 3)
    with started(tmp_path, "detect", *clips, *options) as process:
        # At different moments, from the start of the workers to the middle of the run.
        poll(out.exists, what="the folder of the results")
        time.sleep(after_s)
        os.kill(process.pid, signal.SIGINT)
        finished = ended(process)
    assert finished.returncode == EXIT_INTERRUPTED, finished.stderr
    assert "Traceback" not in finished.stderr
    for path in out.glob("*.jsonl"):
        written = frames_in(path) if path.stat().st_size else []
        assert written == list(range(len(written)))
    for path in out.glob("*.mp4"):
        assert play(path)
    check_nothing_left(tmp_path)
