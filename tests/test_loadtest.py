"""The load tests' shared ground, the ensemble's price, and the report, on a real Triton."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from clips import full_disk
from conftest import REPOSITORY
from yolostream import ModelUnavailable, ServerUnavailable
from yolostream.client.connection import connect
from yolostream.server import embedded

from loadtest import comparison, quartiles, readme, report, result_file, table
from loadtest.batching import BATCHED, UNBATCHED, write_variants
from loadtest.client_side import sender, suppressor
from loadtest.errors import LoadTestError, RegressionError, ResultError
from loadtest.frames import demo_frames
from loadtest.machine import machine
from loadtest.network import network
from loadtest.observation import observe
from loadtest.repository import MODELS, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.scenarios import Scenario
from loadtest.server import served
from tools.evaluation.variant import served_thresholds

ENSEMBLE, NETWORK = "yolov7", "yolov7_fp16"


def run(module, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", f"loadtest.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=120,
        **options,
    )


def regions():
    return set(Path("/dev/shm").glob("psm_*"))


@pytest.fixture(scope="module")
def priced(triton, tmp_path_factory):
    """A folder with the price of the running server, measured as short as can be."""
    folder = tmp_path_factory.mktemp("results")
    output = folder / "price.json"
    done = run("price", "--url", triton.url, "--seconds", 0.3, "--rounds", 2, "--output", output)
    assert done.returncode == 0, done.stderr
    return folder


def middle_of_three_free_ports() -> int:
    """Of three in a row, as Triton has them by default."""
    while True:
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            first, *others = [probes.enter_context(socket.socket()) for _ in range(3)]
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            for offset, probe in zip((-1, 1), others, strict=True):
                probe.bind(("127.0.0.1", port + offset))
            return port


def test_a_running_server_is_found_with_its_addresses_and_processes():
    grpc = middle_of_three_free_ports()
    ports = embedded.Ports(http=grpc - 1, grpc=grpc, metrics=grpc + 1)
    with (
        embedded.serve(
            MODELS, environment=SERVER_ENVIRONMENT, models=["nms"], profile="cpu", ports=ports
        ) as server,
        served(server.url, model="nms") as target,
    ):
        assert (target.http_url, target.metrics_url) == (server.http_url, server.metrics_url)
        assert target.pids[0] == server.process.pid
        assert {psutil.Process(pid).name() for pid in target.pids} > {"tritonserver"}
    assert not any(psutil.pid_exists(pid) for pid in target.pids)


def test_a_server_that_is_away_or_lacks_the_model_is_named(triton):
    with (
        pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:1"),
        served("127.0.0.1:1", model=ENSEMBLE),
    ):
        pass
    with pytest.raises(ModelUnavailable, match="yolov9"), served(triton.url, model="yolov9"):
        pass


def test_the_machine_names_the_server_that_is_asked(triton):
    facts = machine(triton.url)
    with connect(triton.url) as client:
        assert facts["triton"] == client.get_server_metadata().version
    assert facts["cores"] >= 1
    assert re.fullmatch(r"[0-9a-f]{7,}", facts["commit"])
    json.dumps(facts)


def test_frames_of_a_clip_come_in_the_size_asked_for():
    whole, small = demo_frames(every=100), demo_frames(size=(90, 160), every=100)
    assert len(whole) == len(small) == 3
    assert {frame.shape for frame in whole} == {(720, 1280, 3)}
    for frame, downscaled in zip(whole, small, strict=True):
        assert downscaled.dtype == np.uint8
        np.testing.assert_array_equal(downscaled, cv2.resize(frame, (160, 90)))


@pytest.mark.parametrize("shared_memory", [True, False])
def test_the_client_side_scenario_finds_what_the_ensemble_finds(triton, detector, shared_memory):
    before = regions()
    suppress = suppressor(served_thresholds(triton.url, "nms", timeout_s=10))
    frames = demo_frames(every=60)
    with network(triton.url, NETWORK, in_flight=2, shared_memory=shared_memory) as submit:
        send = sender(submit, detector.model.input_size)
        answers = [suppress(send(frame).result()) for frame in frames]
    assert regions() == before
    for frame, rows in zip(frames, answers, strict=True):
        found = detector.detect(frame)
        height, width = frame.shape[:2]
        boxes = rows[:, [1, 0, 3, 2]] * [width, height, width, height]
        np.testing.assert_allclose(rows[:, 4], found.scores, atol=1e-3)
        np.testing.assert_allclose(boxes, found.boxes, atol=0.5)


def test_a_step_with_a_queue_limit_is_measured_beside_the_one_without(tmp_path):
    output = tmp_path / "queue_limit.json"
    done = run("queue_limit", "--seconds", 0.5, "--rounds", 1, "--output", output)
    assert done.returncode == 0, done.stderr
    figures = result_file.read(output)["figures"]
    (only,) = figures["turns"]
    for model in ("nms_limited", "nms"):
        assert only[model]["requests"] == pytest.approx(only[model]["requests_per_s"] * 0.5, abs=1)
        assert 0 < only[model]["p50_ms"] <= only[model]["p99_ms"]
        assert 0 <= only[model]["stalls"] < only[model]["requests"]
    assert f"of {only['nms']['requests']:,} |" in table.queue_limit(figures)


def test_shared_memory_that_is_full_is_an_error_and_leaves_nothing_behind(triton):
    before = regions()
    with (
        full_disk(after_bytes=1_000_000),
        pytest.raises(LoadTestError, match=r"/dev/shm has no room for 4\.9 MB"),
        network(triton.url, NETWORK, in_flight=1, shared_memory=True),
    ):
        pass
    assert regions() == before


def test_a_way_is_divided_into_what_the_server_says(triton, detector):
    scenario = Scenario(demo_frames(every=60), detector.submit, 1, detector.model.steps)
    with connect(triton.url) as client:
        observed = observe(scenario, 1.0, client, triton.url)
    parts = observed["parts_ms"]
    assert list(parts) == ["client", *detector.model.steps, "queues", "between"]
    assert sum(parts.values()) == pytest.approx(observed["latency_ms"], abs=0.1)
    assert max(parts, key=parts.get) == NETWORK
    assert observed["frames_per_s"] == pytest.approx(1000 / observed["latency_ms"], rel=0.1)
    assert all(list(sizes) == ["1"] for sizes in observed["batch_sizes"].values())


def test_the_variants_differ_in_how_requests_are_batched(tmp_path):
    variants = write_variants(ENSEMBLE, tmp_path)
    assert set(variants) == {UNBATCHED, BATCHED}
    models = [*variants.values()]
    sizes = {}
    with (
        served(
            None, model=models[0], more_models=models[1:], more_repositories=[tmp_path]
        ) as target,
        connect(target.url) as client,
        network(target.url, f"{NETWORK}_{UNBATCHED}", in_flight=8, shared_memory=False) as alone,
        network(target.url, f"{NETWORK}_{BATCHED}", in_flight=8, shared_memory=False) as together,
    ):
        tensors = [np.zeros((1, 3, 640, 640), np.float32)]
        for setting, submit in ((UNBATCHED, alone), (BATCHED, together)):
            model = f"{NETWORK}_{setting}"
            scenario = Scenario(tensors, submit, 8, (model,))
            sizes[setting] = observe(scenario, 2.0, client, target.url)["batch_sizes"][model]
    assert list(sizes[UNBATCHED]) == ["1"]
    assert max(map(int, sizes[BATCHED])) > 1


def test_prices_are_kept_with_where_they_come_from(priced, triton):
    written = json.loads((priced / "price.json").read_text())
    assert not written["partial"]
    assert triton.url in written["command"]
    assert len(written["figures"]["turns"]) == 2
    summary = quartiles.summary(written["figures"]["turns"])
    # The others need a server of our own.
    assert {"one_camera_over_usual", "ensemble_grpc_over_client_side"} <= summary["ratios"].keys()
    assert "ensemble_over_bare" not in summary["ratios"]
    for ratio in summary["ratios"].values():
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--url", "127.0.0.1:1"], 8, "127.0.0.1:1"),
        (["--model", "yolov9"], 9, "yolov9"),
        (["--model", "nms"], 9, "nms"),
    ],
)
def test_without_a_server_or_the_model_nothing_is_written(tmp_path, arguments, code, named):
    output = tmp_path / "price.json"
    output.write_text("before")
    done = run("price", *arguments, "--output", output)
    assert done.returncode == code
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert output.read_text() == "before"
    assert list(tmp_path.iterdir()) == [output]


def started_price(url, output):
    """A measurement that has its first figures."""
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtest.price", "--url", url, "--output", output],
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    for line in process.stderr:
        if "frames/s" in line:
            return process
    raise AssertionError(f"it ended with {process.wait()}")


def test_figures_never_take_the_place_of_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "figures.json")
    with pytest.raises(ResultError, match="it is a pipe"):
        result_file.write(tmp_path / "figures.json", {})
    assert (tmp_path / "figures.json").is_fifo()
    assert len(list(tmp_path.iterdir())) == 1


def test_ctrl_c_keeps_what_was_measured_and_marks_it_partial(triton, tmp_path):
    before = regions()
    process = started_price(triton.url, tmp_path / "price.json")
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "partial" in words
    assert_partial(tmp_path / "price.json")
    assert regions() == before


def test_a_server_that_dies_leaves_what_was_measured(tmp_path):
    before = regions()
    with embedded.serve(
        MODELS, environment=SERVER_ENVIRONMENT, models=[ENSEMBLE], profile="cpu"
    ) as server:
        process = started_price(server.url, tmp_path / "price.json")
        server.process.kill()
        _, words = process.communicate(timeout=60)
    assert process.returncode == 8
    assert f"error: no Triton answers at {server.url}" in words
    assert "Traceback" not in words
    assert_partial(tmp_path / "price.json")
    assert regions() == before


def assert_partial(path):
    written = result_file.read(path)
    assert written["partial"]
    (only,) = written["figures"]["turns"]
    assert next(iter(only.values()))["frames_per_s"] > 0
    assert report.join(path.parent)["partial"]


def test_the_report_joins_what_is_there_and_names_what_is_missing(priced):
    done = run("report", "--folder", priced)
    assert done.returncode == 0, done.stderr
    written = result_file.read(priced / "report.json")
    assert written["partial"]
    assert written["figures"]["missing"] == ["perf_analyzer", "capacity", "queue_limit"]
    for part in ("perf_analyzer", "capacity"):
        assert f"python -m loadtest.{part}" in done.stderr
    ratio = written["figures"]["price"]["ratios"]["one_camera_over_usual"]
    assert f"| {ratio['median']:.2f} | {ratio['low']:.2f} to {ratio['high']:.2f} |" in done.stdout
    picture = cv2.imread(str(priced / "frame_time.png"))
    assert picture.std() > 0


def test_an_empty_folder_is_no_report(tmp_path):
    done = run("report", "--folder", tmp_path)
    assert done.returncode == ResultError.exit_code
    assert "make loadtest" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"figures": {}}'])
def test_a_file_that_holds_no_figures_is_refused_by_name(tmp_path, content):
    (tmp_path / "price.json").write_text(content)
    with pytest.raises(ResultError, match=r"price\.json"):
        report.join(tmp_path)


def test_a_regression_beyond_the_noise_is_an_error(priced):
    new = report.join(priced)
    comparison.check(comparison.changes(new, new))

    old = copy.deepcopy(new)
    name = "one_camera_over_usual"
    was = old["figures"]["price"]["ratios"][name]
    # Better than any noise of the new run could explain.
    apart = was["high"] - was["low"]
    for key in was:
        was[key] = 3 * was[key] + 3 * apart
    changes = comparison.changes(old, new)
    with pytest.raises(RegressionError, match=name):
        comparison.check(changes)
    # The other way around it has become better.
    comparison.check(comparison.changes(new, old))


def test_one_turn_does_not_tell_its_noise(priced):
    new = report.join(priced)
    old = copy.deepcopy(new)
    del old["figures"]["price"]["turns"][1:]
    with pytest.raises(ResultError, match="old"):
        comparison.changes(old, new)


def test_frames_per_second_of_another_machine_are_not_compared(priced):
    new = report.join(priced)
    old = copy.deepcopy(new)
    assert any(change.name == "ensemble" for change in comparison.changes(old, new))
    old["figures"]["sources"]["price"]["machine"]["processor"] = "another"
    assert {change.name for change in comparison.changes(old, new)} <= quartiles.RATIOS.keys()


def test_compare_ends_with_the_code_of_a_regression(priced, tmp_path):
    old = report.join(priced)
    for ratio in old["figures"]["price"]["ratios"].values():
        ratio.update({key: 100 * value for key, value in ratio.items()}, low=99, high=100)
    (tmp_path / "old.json").write_text(json.dumps(old))
    done = run("report", "--folder", priced, "--compare", tmp_path / "old.json")
    assert done.returncode == RegressionError.exit_code
    assert "one_camera_over_usual" in done.stdout
    assert "worse than before" in done.stderr


def test_the_page_says_what_was_measured():
    page = readme.PAGE.read_text()
    written = result_file.read(readme.REPORT)
    assert readme.with_loadtest(page, readme.loadtest_section(written)) == page


def test_the_report_is_made_of_the_committed_figures():
    committed = result_file.read(readme.REPORT)["figures"]
    assert committed == report.join(RESULTS_FOLDER)["figures"]
