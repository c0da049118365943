"""Shared parts of the load tests: server, frames, result files, tables, pages and the search."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import cv2
import numpy as np
import psutil
import pytest
from running import poll
from yolostream import ModelUnavailable, ServerUnavailable
from yolostream.client.connection import connect
from yolostream.server import embedded

from loadtest import pages, result_file
from loadtest.clips import demo_frames
from loadtest.errors import ResultError
from loadtest.machine import machine
from loadtest.processes import cpu_s, family
from loadtest.repository import MODELS, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.search import most
from loadtest.server import served
from loadtest.table import Bar, Check, listed, table, verdicts


def test_the_processes_of_a_running_server_are_found():
    with (
        embedded.serve(
            MODELS, environment=SERVER_ENVIRONMENT, models=["nms"], profile="cpu"
        ) as server,
        served(server.url, model="nms") as target,
    ):
        assert target.pids[0] == server.process.pid
        assert {psutil.Process(pid).name() for pid in target.pids} > {"tritonserver"}
    assert not any(psutil.pid_exists(pid) for pid in target.pids)


@pytest.mark.parametrize("start", ["run", "Popen"])
def test_the_processor_time_of_a_child_counts_after_it_has_ended(start):
    work = "import time\nwhile time.process_time() < 0.5: pass"
    # `run` waits for the child. After `Popen`, nobody does, as while the workers of `detect` end.
    program = (
        f"import subprocess as s, sys; c = s.{start}([sys.executable, '-c', {work!r}]); input()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as parent:
        poll(lambda: cpu_s(family(parent.pid)) >= 0.5, what="the processor time of the child")
        children = psutil.Process(parent.pid).children
        poll(lambda: all(one.status() == "zombie" for one in children()), what="the child's end")
        assert cpu_s(family(parent.pid)) >= 0.5


def test_a_missing_server_or_model_is_named(triton):
    with (
        pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:1"),
        served("127.0.0.1:1", model="yolov7"),
    ):
        pass
    with pytest.raises(ModelUnavailable, match="yolov9"), served(triton.url, model="yolov9"):
        pass


def test_the_description_of_the_machine_has_the_version_of_the_server(triton):
    facts = machine(triton.url)
    with connect(triton.url) as client:
        assert facts["triton"] == client.get_server_metadata().version
    assert facts["cores"] >= 1
    assert re.fullmatch(r"[0-9a-f]{7,}", facts["commit"])
    json.dumps(facts)


def test_frames_of_a_clip_have_the_requested_size():
    whole, small = demo_frames(every=100), demo_frames(size=(90, 160), every=100)
    assert len(whole) == len(small) == 3
    assert {frame.shape for frame in whole} == {(720, 1280, 3)}
    for frame, downscaled in zip(whole, small, strict=True):
        assert downscaled.dtype == np.uint8
        np.testing.assert_array_equal(downscaled, cv2.resize(frame, (160, 90)))


@pytest.mark.parametrize("content", ["{", "[]", '{"figures": {}}'])
def test_a_file_without_figures_is_named(tmp_path, content):
    (tmp_path / "gpu.json").write_text(content)
    with pytest.raises(ResultError, match=r"gpu\.json"):
        pages.texts("", tmp_path)


def test_committed_figures_are_complete():
    for path in RESULTS_FOLDER.glob("*.json"):
        assert result_file.read(path)["partial"] is False, path.name


@pytest.mark.parametrize("limit", range(60))
def test_the_search_finds_the_limit_within_an_eighth_with_few_tries(limit):
    tried = []

    def holds(number):
        tried.append(number)
        return number <= limit

    found = most(holds, (1, 2, 8, 24, 48), edge=1 / 8)
    assert found <= min(limit, 48) <= found + max(1, found // 8)
    assert len(tried) == len(set(tried)) <= 7
    if limit >= 48:
        assert (found, tried) == (48, [8, 48])


@pytest.mark.parametrize("limit", [0, 1, 17, 64])
def test_the_result_of_the_search_holds_twice(limit):
    tried = []

    def holds(number):
        tried.append(number)
        return number <= limit

    assert most(holds, range(1, 65), twice=True) == limit
    assert tried.count(limit) == (2 if limit else 0)
    assert len(tried) < 12


def test_a_number_that_held_only_once_is_not_the_result():
    tries = {8: iter([True, False]), 7: iter([False]), 6: iter([True, True])}

    def holds(number):
        return next(tries[number]) if number in tries else number < 6

    assert most(holds, range(1, 10), twice=True) == 6


def test_missed_and_failed_bars_are_bold_and_may_apply_to_some_columns():
    checks = [
        Check("a rate", Bar(digits=0, at_least=10), lambda figures: figures["rate"]),
        Check("a time", Bar(" ms", at_most=2), lambda figures: figures["ms"], whose="some"),
        Check("untried", Bar(at_most=1), lambda figures: 0.0, asked=lambda figures: False),
    ]
    columns = {"a": {"rate": 1000, "ms": 2.004}, "b": {"rate": 9}, "c": {"rate": 8, "ms": 3}}
    rows = verdicts(checks, columns, binds=lambda check, figures: figures["rate"] != 8)
    assert table(["", "bar", *columns], rows).splitlines() == [
        "| | bar | a | b | c |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| a rate | at least 10 | 1,000, met | **9, missed** | 8 |",
        "| a time (the bar is for some) | at most 2.00 ms | **2.00 ms, missed** | **failed** "
        "| 3.00 ms |",
    ]


@pytest.mark.parametrize("bar", [Bar(at_least=1), Bar(at_most=1)])
def test_a_figure_that_is_no_number_reaches_no_bar(bar):
    assert bar.judged(float("nan")) == "**nan, missed**"
    assert Bar("%", 1, words="flat").row("growth", 0.5) == ["growth", "flat", "50.0%"]


def test_a_row_has_an_empty_cell_for_what_its_item_lacks():
    columns = {"name": lambda item: item["name"], "ms": lambda item: f"{item['ms']:.1f}"}
    rows = listed(columns, [{"name": "a", "ms": 2}, {"name": "b"}]).splitlines()
    assert rows[2:] == ["| a | 2.0 |", "| b | |"]


def test_only_texts_with_a_mark_are_written_into_a_page():
    page = "before\n<!-- gpu -->\nold\n<!-- /gpu -->\nafter\n"
    assert pages.filled(page, {"gpu": "new", "gpu-times": "x"}) == page.replace("old", "new")


def test_pages_have_the_measured_figures():
    places = "".join(path.read_text() for path in pages.PAGES)
    for name in pages.texts(""):
        assert places.count(f"<!-- {name} -->") == 1, name
    for path in pages.PAGES:
        assert pages.rewritten(path) == path.read_text(), f"{path.name}: run loadtest.pages"
