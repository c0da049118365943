"""Dead and faulty servers are restarted; with real servers and real signals."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from clips import steps, write_clip
from conftest import REPOSITORY
from instant import MODEL
from running import (
    DEADLINE_S,
    check,
    check_nothing_left,
    ended,
    errors_of,
    has_lines,
    lines,
    poll,
    started,
)
from yolostream import Detector, YolostreamError
from yolostream.errors import ServerUnavailable
from yolostream.server import (
    backoff,
    canary,
    die_with_parent,
    embedded,
    gpus,
    health,
    liveness,
    repositories,
    tritonserver,
)
from yolostream.server.environment import ServerEnvironment

ENVIRONMENT = REPOSITORY / ".venv-server"
embedding = partial(embedded.serve, environment=ENVIRONMENT, profile="cpu", stop_timeout_s=0)
INSTANT = Path(__file__).with_name("instant_repository")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
STEPS = ("preprocess", "yolov7_fp16", "nms")


def process_of(server: psutil.Process, step: str) -> psutil.Process:
    if step == "tritonserver":
        return server
    return next(p for p in server.children() if f"/{step}/" in " ".join(p.cmdline()))


def is_answered(detector: Detector, frame) -> bool:
    with contextlib.suppress(YolostreamError):
        detector.detect(frame)
        return True
    return False


# The library


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.EmbeddedTriton]:
    with embedding(REPOSITORY / "model_repository", models=["yolov7"]) as server:
        yield server


@pytest.mark.parametrize(
    ("step", "number"),
    [
        *((step, signal.SIGKILL) for step in (*STEPS, "tritonserver")),
        ("nms", signal.SIGSTOP),
        ("tritonserver", signal.SIGSTOP),
    ],
)
def test_a_killed_or_paused_process_leads_to_a_restart(
    server, demo_frames, caplog, monkeypatch, step, number
) -> None:
    # The faults of these tests follow each other, so the delay would grow.
    monkeypatch.setattr(backoff, "LONGEST_S", 1.0)
    (frame,) = demo_frames("mb1_1", [30])
    restarts = server.health().restarts
    with Detector(server.url, timeout_s=20) as detector:
        before = detector.detect(frame)
        assert len(before.scores)
        process_of(psutil.Process(server.process.pid), step).send_signal(number)
        poll(lambda: server.health().restarts > restarts, what="a restart")
        poll(lambda: is_answered(detector, frame), what="an answer")
        after = detector.detect(frame)
    assert np.array_equal(before.boxes, after.boxes)
    poll(lambda: server.health().of("yolov7"), what="the canary's answer")
    health = server.health()
    assert health.restarts == restarts + 1
    assert step in health.fault or "ended with code -9" in health.fault
    fault, back = (record.getMessage() for record in caplog.records)
    assert fault.startswith(f"the Triton at {server.url} has failed: ")
    assert "is back after" in back
    assert f"(restart {health.restarts})" in back


def test_a_failed_start_is_repeated(faulty, monkeypatch, caplog) -> None:
    repository, _ = faulty
    start, tries = tritonserver.start, []

    def full(*arguments: object) -> subprocess.Popen[bytes]:
        tries.append(arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    with embedding(repository) as server:
        monkeypatch.setattr(tritonserver, "start", full)
        server.process.kill()
        poll(lambda: len(tries) == 2, what="another attempt")
        monkeypatch.setattr(tritonserver, "start", start)
        poll(lambda: server.health().of(MODEL), what="the server to answer again")
    assert "cannot start Triton: [Errno 28]" in caplog.text


def test_a_server_that_answers_with_the_boxes_of_other_frames_is_restarted(faulty) -> None:
    repository, _ = faulty
    # The model gets a digest output like the real ensemble, but its digest is always wrong.
    config = repository / MODEL / "config.pbtxt"
    output = '{ name: "frame_digest" data_type: TYPE_FP32 dims: [ 2 ] },'
    text = config.read_text().replace("output [", f"output [ {output}", 1)
    mapped = 'output_map { key: "num_detections"'
    text = text.replace(
        mapped, f'output_map {{ key: "frame_digest" value: "frame_digest" }} {mapped}'
    )
    config.write_text(text)
    answer = repository / "instant_answer" / "config.pbtxt"
    answer.write_text(answer.read_text().replace("output [", f"output [ {output}", 1))
    code = repository / "instant_answer" / "1" / "instant.py"
    code.write_text(
        code.read_text().replace("SHAPES = {", 'SHAPES = {\n    "frame_digest": (2,),', 1)
    )
    with embedding(repository) as server:
        poll(lambda: server.health().restarts, what="a restart")
        assert "answers with the boxes of other frames" in server.health().fault


def test_only_ensembles_of_this_project_are_checked() -> None:
    assert repositories.ensembles_in([REPOSITORY / "model_repository", INSTANT]) == [
        MODEL,
        "yolov7",
    ]


FAULTY_MODEL = """
import time
from pathlib import Path
import triton_python_backend_utils as pb_utils
from .instant import TritonPythonModel as Instant

BEHAVIOR = Path({path!r})

class TritonPythonModel(Instant):
    def execute(self, requests):
        behavior = BEHAVIOR.read_text() if BEHAVIOR.exists() else ""
        if behavior == "hang":
            time.sleep(3600)
        if behavior == "fail":
            raise RuntimeError("a simulated error")
        return super().execute(requests)
"""


@pytest.fixture
def faulty(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """A repository whose model fails as a file says, and that file; with short check intervals."""
    for module, name, value in (
        (liveness, "INTERVAL_S", 0.5),
        (liveness, "SILENCE_S", 3.0),
        (canary, "TIMEOUT_S", 1.0),
    ):
        monkeypatch.setattr(module, name, value)
    repository, behavior = tmp_path / "models", tmp_path / "behavior"
    shutil.copytree(INSTANT, repository)
    code = repository / "instant_answer" / "1" / "model.py"
    code.rename(code.with_name("instant.py"))
    code.write_text(FAULTY_MODEL.format(path=str(behavior)))
    return repository, behavior


@pytest.mark.parametrize(
    ("behavior", "fault"), [("hang", "no answer for"), ("fail", "a simulated error")]
)
def test_an_ensemble_that_no_longer_answers_is_restarted(faulty, behavior, fault) -> None:
    repository, file = faulty
    with embedding(repository) as server:
        poll(lambda: server.health().of(MODEL), what="the first answer")
        file.write_text(behavior)
        poll(lambda: server.health().restarts == 1, what="a restart")
        assert fault in server.health().fault
        assert not server.health().of(MODEL)
        file.unlink()
        poll(lambda: server.health().of(MODEL), what="the server to answer again")
        assert server.health().restarts == 1


def test_an_ensemble_that_never_answered_is_unhealthy_and_not_restarted(faulty) -> None:
    repository, file = faulty
    file.write_text("fail")
    with embedding(repository) as server:
        with pytest.raises(YolostreamError):
            Detector(server.url, MODEL)
        time.sleep(5)
        assert server.health() == health.Health({MODEL: False}, is_up=True, restarts=0)


def test_with_once_the_fault_is_raised(faulty) -> None:
    repository, _ = faulty
    with embedding(repository, once=True) as server:
        process_of(psutil.Process(server.process.pid), "instant_answer").kill()
        with pytest.raises(ServerUnavailable, match="a process of 'instant_answer' has ended"):
            server.wait()
        assert not server.health().is_up


def test_a_program_whose_parent_has_ended_is_not_started(tmp_path) -> None:
    touched = tmp_path / "touched"
    other = "1" if os.getpid() != 1 else "2"
    for parent, is_started in ((str(os.getpid()), True), (other, False)):
        touched.unlink(missing_ok=True)
        command = [sys.executable, die_with_parent.__file__, parent, "touch", touched]
        assert subprocess.run(command).returncode == 0
        assert touched.exists() == is_started


# The command


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ports() -> tuple[str, ...]:
    kinds = ("http", "grpc", "metrics", "health")
    return tuple(word for kind in kinds for word in (f"--{kind}-port", str(free_port())))


def of(words: tuple[str, ...], kind: str) -> str:
    return words[words.index(f"--{kind}-port") + 1]


@contextlib.contextmanager
def serving(
    tmp_path: Path, repository: Path, *words: str, profile: str | None = "cpu"
) -> Iterator[subprocess.Popen[str]]:
    chosen = [] if profile is None else ["--profile", profile]
    with started(tmp_path, "serve", "--model-repository", repository, *chosen, *words) as process:
        read_until(process, "Ctrl-C")
        yield process


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read stderr up to a line with these words; return it."""
    while words not in (line := process.stderr.readline()):
        assert line, f"the process ended without the line: {words}"
    return line


def tritonserver_of(process: subprocess.Popen[str]) -> psutil.Process:
    family = psutil.Process(process.pid).children(recursive=True)
    return next(member for member in family if member.name() == "tritonserver")


def get(port: str, path: str) -> tuple[int, dict]:
    try:
        with _DIRECT.open(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()) if error.code == 503 else {}


def test_serve_reports_its_health(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    words = ("--host", "0.0.0.0", *ports())
    port = of(words, "health")
    with serving(tmp_path, INSTANT, *words) as process:
        poll(lambda: get(port, "/health")[0] == 200, what="health")
        assert get(port, f"/health/{MODEL}")[0] == 200
        assert get(port, "/health/unknown")[0] == 503
        assert get(port, "/")[0] == 404
        step = process_of(tritonserver_of(process), "instant_answer")
        step.suspend()
        poll(lambda: get(port, f"/health/{MODEL}")[0] == 503, what="the fault")
        poll(lambda: get(port, f"/health/{MODEL}")[0] == 200, what="the recovery")
        report = get(port, "/health")[1]
        assert report["healthy"]
        assert report["restarts"] == 1
        assert "'instant_answer' is paused" in report["fault"]
        process.send_signal(signal.SIGTERM)
        assert ended(process).returncode == 0
    check_nothing_left(tmp_path)


def test_serve_once_ends_with_an_error(tmp_path) -> None:
    with serving(tmp_path, INSTANT, "--once", *ports()) as process:
        tritonserver_of(process).kill()
        finished = ended(process)
    check(finished, ServerUnavailable.exit_code, "it ended with code -9")
    check_nothing_left(tmp_path)


def test_after_serve_was_killed_its_ports_are_free(tmp_path) -> None:
    words = ports()
    for _ in range(4):
        with serving(tmp_path, INSTANT, *words) as process:
            server = tritonserver_of(process)
            process.kill()
            process.wait(DEADLINE_S)
        poll(lambda: not server.is_running(), what="the server to end with its owner")  # noqa: B023
    # A step that was about to answer may wait forever for the killed tritonserver.
    with serving(tmp_path, INSTANT, *words) as process:
        process.terminate()
        assert ended(process).returncode == 0
    check_nothing_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["now", "in 2 s"])
def test_serve_can_be_stopped_during_a_restart_and_before_one(tmp_path, number, moment) -> None:
    repository = tmp_path / "models"
    shutil.copytree(INSTANT, repository)
    with serving(tmp_path, repository, *ports()) as process:
        if moment != "now":
            (repository / "instant_answer" / "1" / "model.py").write_text("raise OSError('broken')")
        process_of(tritonserver_of(process), "instant_answer").kill()
        read_until(process, f"it is restarted {moment}")
        if moment == "now":
            # The next server is loading its models.
            poll(lambda: bool(psutil.Process(process.pid).children()), what="the next server")
        process.send_signal(number)
        assert ended(process).returncode == 0
    check_nothing_left(tmp_path)


def test_a_failed_restart_is_logged_and_repeated(tmp_path) -> None:
    repository = tmp_path / "models"
    shutil.copytree(INSTANT, repository)
    code = repository / "instant_answer" / "1" / "model.py"
    good = code.read_text()
    with serving(tmp_path, repository, *ports()) as process:
        code.write_text("raise OSError('broken')")
        process_of(tritonserver_of(process), "instant_answer").kill()
        read_until(process, "(restart 1)")
        line = read_until(process, "(restart 2)")
        assert line.startswith("note: Triton ended with code")
        assert "failed to load all models" in line
        code.write_text(good)
        read_until(process, "is back after")
        process.send_signal(signal.SIGTERM)
        assert ended(process).returncode == 0
    check_nothing_left(tmp_path)


def test_a_dead_step_costs_no_frame_of_a_file(tmp_path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", steps(5) * 24)
    out = tmp_path / "out"
    with started(
        tmp_path, "detect", clip, "--output", out, "--save", "jsonl", "--profile", "cpu"
    ) as process:
        poll(lambda: has_lines(out / "clip.jsonl", 20), what="twenty frames")
        process_of(tritonserver_of(process), "nms").kill()
        finished = ended(process)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    assert "a process of 'nms' has ended" in finished.stderr.replace("\n", " ")
    assert [record["frame"] for record in lines(out / "clip.jsonl")] == list(range(120))
    check_nothing_left(tmp_path)


@pytest.fixture
def installation(tmp_path) -> Path:
    """A folder with the layout of /opt/tritonserver in NVIDIA's container."""
    environment = ServerEnvironment.check(ENVIRONMENT)
    folder = tmp_path / "opt"
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    stubs = environment.wheel / "python_backend_stubs" / environment.python_version
    for part in [*(environment.wheel / "backends" / "python").iterdir(), *stubs.iterdir()]:
        (backend / part.name).symlink_to(part)
    utilities = backend / "triton_python_backend_utils.py"
    text = utilities.read_text()
    utilities.unlink()
    utilities.write_text(text)
    libraries = os.pathsep.join([str(environment.libraries), environment.libpython_folder])
    program = folder / "bin" / "tritonserver"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        f"export LD_LIBRARY_PATH={libraries} PATH={environment.python.parent}:$PATH\n"
        f"exec {environment.wheel}/bin/tritonserver --backend-directory={folder}/backends"
        ' "$@"\n'
    )
    program.chmod(0o755)
    return folder


def test_an_installation_of_triton_is_supervised_like_the_one_from_pypi(
    tmp_path, installation
) -> None:
    repository = tmp_path / "models"
    shutil.copytree(INSTANT, repository)
    broken = repository / "broken"
    shutil.copytree(repository / "instant_answer", broken)
    config = broken / "config.pbtxt"
    config.write_text(config.read_text().replace('"instant_answer"', '"broken"'))
    (broken / "1" / "model.py").write_text("raise OSError('broken')")
    words = (*ports(), "--server-environment", str(installation))
    options = ("--", "--exit-on-error=false", "--strict-readiness=false")
    with serving(tmp_path, repository, *words, "--show-log", *options, profile=None) as process:
        server = tritonserver_of(process)
        region = f"--backend-config=python,shm-default-byte-size={gpus.HOST_REGION_BYTES}"
        assert {"--exit-on-error=false", region} <= set(server.cmdline())
        assert gpus.LARGE_COPIES.items() <= server.environ().items()
        read_until(process, "OSError: broken")
        poll(lambda: get(of(words, "health"), f"/health/{MODEL}")[0] == 200, what="health")
        process_of(server, "instant_answer").kill()
        read_until(process, "is back after")
        process.send_signal(signal.SIGTERM)
        assert ended(process).returncode == 0
    check_nothing_left(tmp_path)
