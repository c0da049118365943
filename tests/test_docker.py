"""Containers on a real engine: their results, their rights and their recovery."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY
from docker_engine import PYTHON_IMAGE, Engine, build_haproxy_image, missing
from docker_engine import engine as an_engine
from docker_project import DEADLINE_S, Project, any_compose, project, until, user_and_group
from docker_project import clone as a_clone
from needs import skip_where
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from running import lines
from small_disk import small_disk
from tritonclient.utils import InferenceServerException
from yolostream import YolostreamError
from yolostream._version import __version__
from yolostream.client.access import Access
from yolostream.client.connection import connect
from yolostream.errors import OutputError

IS_ASKED_FOR = os.environ.get("REQUIRE_DOCKER") == "1"

pytestmark = [
    # These tests build images, and an engine that they start changes the firewall.
    pytest.mark.skipif(not IS_ASKED_FOR, reason="runs with 'make test-docker' only"),
    skip_where(
        missing() or (not any_compose() and "Compose") if IS_ASKED_FOR else "",
        variable="REQUIRE_DOCKER",
    ),
    # The first test waits until Debian is unpacked and all images are built.
    pytest.mark.timeout(1800),
]

CAMERAS = """
outputs: {folder: output/live}
# Few frames: the servers of these tests share two cores.
defaults: {fps: 2}
cameras:
  gate: {source: videos/mb1_1.mp4}
  yard: {source: videos/mb2_2.mp4}
"""
FRAMES = 60
VIDEOS = [f"videos/{name}.mp4" for name in ("mb1_1", "mb2_2")]
DETECT = ("detect", *VIDEOS, "--limit", FRAMES, "--save", "jsonl")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with an_engine() as answering:
        yield answering


@pytest.fixture(scope="module")
def clone(engine):
    with a_clone() as folder:
        yield folder


@pytest.fixture(scope="module")
def cpu(engine, clone) -> Iterator[Project]:
    """The healthy services of docker-compose.cpu.yaml whose images need not be pulled."""
    (clone / "cameras.yaml").write_text(CAMERAS)
    with project(
        engine, any_compose(), clone, "docker-compose.cpu.yaml", YOLOSTREAM_CAMERAS="cameras.yaml"
    ) as made:
        made.run("build", "triton", "client", "live")
        made.run("up", "--detach", "live")
        made.wait_until_healthy("triton", "live")
        yield made


@pytest.fixture(scope="module")
def without_containers(triton, yolostream_cli, tmp_path_factory) -> dict[str, list]:
    """The records of each video, from the same command on this machine."""
    folder = tmp_path_factory.mktemp("without")
    done = yolostream_cli(
        *DETECT, "--url", triton.url, "--output", folder, cwd=REPOSITORY, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return {path.stem: boxes(path) for path in folder.glob("*.jsonl")}


def boxes(path) -> list:
    """The detections of each frame, without the measured times."""
    return [(line["frame"], line["detections"]) for line in lines(path)]


@contextlib.contextmanager
def detecting(cpu: Project, folder: str) -> Iterator[subprocess.Popen[str]]:
    """Run the client; yields when it has written its first results."""
    command = ("run", "--rm", "-T", "client", *DETECT, "--url", "triton:8001", "--output")
    written = cpu.clone / "output" / folder
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with cpu.started(*command, f"output/{folder}") as process:
            while process.poll() is None and count_lines(written) < 4:
                time.sleep(0.1)
            if process.returncode in (None, 0):
                yield process
                return
            # If the machine was suspended, Triton may be restarting at this moment.
            assert time.monotonic() < deadline, process.communicate()


def count_lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*.jsonl"))


def check_all_found(cpu: Project, folder: str, without_containers, process) -> None:
    _, log = process.communicate(timeout=900)
    assert process.returncode == 0, log
    found = {path.stem: boxes(path) for path in (cpu.clone / "output" / folder).glob("*.jsonl")}
    assert found == without_containers


# Results


def test_the_client_has_the_same_results_as_without_containers(cpu, without_containers) -> None:
    assert {name: len(found) for name, found in without_containers.items()} == {
        "mb1_1": FRAMES,
        "mb2_2": FRAMES,
    }
    with detecting(cpu, "client") as process:
        check_all_found(cpu, "client", without_containers, process)
    written = (cpu.clone / "output" / "client" / "mb1_1.jsonl").stat()
    assert (written.st_uid, written.st_gid) == user_and_group()


def test_the_page_shows_the_cameras_of_the_configuration(cpu) -> None:
    assert cpu.get("/").startswith(b"<!doctype html>")
    cpu.wait_for_frames()
    assert set(cpu.cameras()) == {"gate", "yard"}
    assert cpu.get("/api/v1/cameras/gate/frame.jpg").startswith(b"\xff\xd8")
    assert list((cpu.clone / "output" / "live" / "gate").glob("*.jsonl"))


def test_a_change_of_a_camera_is_saved(cpu) -> None:
    url = "http://127.0.0.1:8080/api/v1/cameras/gate"
    ask = (
        "import urllib.request as u; "
        f"r = u.Request('{url}', b'{{\"confidence\": 0.5}}', method='PATCH', "
        "headers={'Content-Type': 'application/json'}); print(u.urlopen(r).status)"
    )
    assert cpu.execute("live", "python", "-c", ask) == "200"
    assert "0.5" in (cpu.clone / "output" / "cameras.runtime.yaml").read_text()


# Rights


@pytest.mark.parametrize("service", ["triton", "live"])
def test_a_container_has_no_privileges(cpu, service) -> None:
    state = cpu.inspect(cpu.container(service))
    host = state["HostConfig"]
    assert state["Config"]["User"] == cpu.environ["YOLOSTREAM_USER"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["Privileged"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    published = [one for ports in host["PortBindings"].values() for one in ports]
    assert published
    assert {one["HostIp"] for one in published} == {"127.0.0.1"}
    status = dict(
        line.split(":\t", 1)
        for line in cpu.execute(service, "cat", "/proc/1/status").splitlines()
        if ":\t" in line
    )
    user, _ = user_and_group()
    assert status["Uid"].split() == [str(user)] * 4
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("service", ["triton", "live"])
def test_a_container_can_write_only_to_its_temporary_folders(cpu, service) -> None:
    folders = ("/", "/var/tmp", "/opt", "/workspace/yolostream", "/tmp", "/dev/shm")
    tries = "for f in {}; do touch $f/probe 2>/dev/null && rm $f/probe && echo $f; done; true"
    written = cpu.execute(service, "sh", "-c", tries.format(" ".join(folders))).split()
    assert written == ["/tmp", "/dev/shm"]


def test_client_and_server_share_their_memory(cpu) -> None:
    cpu.execute("triton", "touch", "/dev/shm/seen")
    assert cpu.execute("live", "ls", "/dev/shm/seen") == "/dev/shm/seen"
    size = cpu.execute("live", "df", "--block-size=1", "--output=size", "/dev/shm").split()[-1]
    assert int(size) == 1 << 30
    shared = {cpu.execute(service, "readlink", "/proc/1/ns/ipc") for service in ("triton", "live")}
    assert len(shared) == 1
    cpu.execute("triton", "rm", "/dev/shm/seen")


# Recovery

# All processes of a container belong to one user, so each can kill the others.
KILL = """
import os, pathlib
for process in pathlib.Path("/proc").glob("[0-9]*"):
    program, *words = (process / "cmdline").read_text().split("\\0")
    if program.endswith("python_backend_stub") and any("/preprocess/" in word for word in words):
        os.kill(int(process.name), 9)
        print(process.name)
"""


def test_a_killed_step_costs_no_frame_of_a_file(cpu, without_containers) -> None:
    with detecting(cpu, "killed") as process:
        assert cpu.execute("triton", "python", "-c", KILL)
        check_all_found(cpu, "killed", without_containers, process)
    assert "it is restarted now" in cpu.run("logs", "triton").stdout
    cpu.wait_for_frames()


def test_a_paused_container_costs_no_frame_of_a_file(cpu, without_containers) -> None:
    with detecting(cpu, "paused") as process:
        cpu.run("pause", "triton")
        time.sleep(5)
        cpu.run("unpause", "triton")
        check_all_found(cpu, "paused", without_containers, process)
    cpu.wait_for_frames()


def kill_process(engine: Engine, pid: int) -> None:
    """Kill a process on the machine of the engine, which may be another one than this."""
    kill = ("python", "-c", f"import os; os.kill({pid}, 9)")
    engine.run("run", "--rm", "--pid", "host", "--user", "0", PYTHON_IMAGE, *kill)


@pytest.mark.parametrize("service", ["triton", "live"])
def test_a_killed_container_is_restarted(cpu, service) -> None:
    name = cpu.container(service)
    # Not 'docker kill', after which the engine does not restart the container.
    kill_process(cpu.engine, cpu.inspect(name)["State"]["Pid"])
    until(lambda: cpu.inspect(name)["RestartCount"] == 1, what=f"{service} to be started again")
    cpu.wait_until_healthy("triton", "live")
    cpu.wait_for_frames()


def test_all_services_recover_after_a_restart_of_the_engine(cpu) -> None:
    if cpu.engine.folder is None:
        pytest.skip("a restart of this machine's engine would end the containers of other users")
    cpu.engine.stop()
    cpu.engine.start()
    cpu.wait_until_healthy("triton", "live")
    cpu.wait_for_frames()


def test_on_a_full_disk_the_client_reports_the_error_and_leaves_complete_records(
    cpu, without_containers
) -> None:
    with small_disk(cpu.clone / "output" / "small", 16) as small:
        os.chown(small, *user_and_group())
        command = ("run", "--rm", "-T", "--volume", f"{small}:/small", "client", *DETECT)
        done = cpu.run(*command, "--url", "triton:8001", "--output", "/small", code=None)
        assert done.returncode == OutputError.exit_code
        errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        assert errors
        assert all("No space left on device" in error for error in errors)
        for path in small.glob("*.jsonl"):
            written = boxes(path)
            assert written == without_containers[path.stem][: len(written)]
    cpu.wait_for_frames()


# The standalone image


@pytest.fixture(scope="module")
def image(engine, clone, cpu) -> str:
    # After the images of Compose, because their layers are reused.
    subprocess.run(
        ["make", "image"], cwd=clone, env={**cpu.environ}, check=True, capture_output=True
    )
    return "yolostream"


def test_the_image_runs_the_demo_without_mounts(engine, image) -> None:
    name = engine.run(
        *("run", "--detach", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--publish", "127.0.0.1::8080", image),
    )
    try:
        page = f"http://{engine.run('port', name, '8080').splitlines()[0]}"

        def get(path: str) -> bytes:
            with urllib.request.urlopen(page + path, timeout=60) as answer:
                return answer.read()

        def detects() -> bool:
            with contextlib.suppress(OSError):
                return all(one["objects"] for one in json.loads(get("/api/v1/cameras")))
            return False

        until(detects, what="objects of both cameras")
        assert get("/").startswith(b"<!doctype html>")
        assert engine.run("exec", name, "id", "-u") == "1000"
        assert json.loads(engine.run("inspect", name))[0]["Mounts"] == []
    finally:
        engine.run("rm", "--force", name)


def test_the_image_has_its_version_and_a_bill_of_materials(engine, image, clone) -> None:
    (inspected,) = json.loads(engine.run("image", "inspect", image))
    labels = inspected["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert engine.run("run", "--rm", image, "--version") == f"yolostream {__version__}"
    for part, lists in {"client": ("client", "service"), "server": ("server",)}.items():
        listed = json.loads((clone / "output" / f"sbom-{part}.cdx.json").read_text())
        assert listed["bomFormat"] == "CycloneDX"
        found = {(canonicalize_name(c["name"]), c["version"]) for c in listed["components"]}
        assert {pin for name in lists for pin in pins(name)} <= found


def pins(name: str) -> Iterator[tuple[str, str]]:
    for line in (REPOSITORY / "requirements" / f"{name}.in").read_text().splitlines():
        if line and not line.startswith("#"):
            wanted = Requirement(line)
            # The image has Python 3.11.
            if wanted.marker is None or wanted.marker.evaluate({"python_version": "3.11"}):
                yield canonicalize_name(wanted.name), str(wanted.specifier).removeprefix("==")


# Several servers

INSTANT = """
services:
  triton:
    command: >-
      serve --host 0.0.0.0 --health-port 8003 --show-log --profile cpu
      --server-environment /opt/server --model-repository tests/instant_repository
"""


@pytest.fixture
def scaled(engine, clone, cpu) -> Iterator[Project]:
    """Two servers with a model that takes no time."""
    (clone / "instant.yaml").write_text(INSTANT)
    files = ("docker-compose.scale.yaml", "instant.yaml")
    with project(engine, any_compose(), clone, *files, YOLOSTREAM_MODEL="instant") as made:
        scale(made, 2)
        yield made


def scale(scaled: Project, count: int) -> None:
    options = ("--detach", "--no-recreate", "--no-build", "--scale", f"triton={count}")
    scaled.run("up", *options, "triton")
    scaled.wait_until_healthy("triton")


def answered(scaled: Project, name: str) -> int:
    """The number of frames that a server has answered since its last start."""
    (network,) = scaled.inspect(name)["NetworkSettings"]["Networks"].values()
    with (
        contextlib.suppress(YolostreamError, InferenceServerException),
        connect(f"{network['IPAddress']}:8001", Access()) as client,
    ):
        (stats,) = client.get_inference_statistics("instant", client_timeout=20).model_stats
        return stats.inference_stats.success.count
    return 0


def more_answers(scaled: Project, *names: str, count: int = 200) -> list[int]:
    """Wait for `count` more answers of each server; return how many more each has given."""
    before = {name: answered(scaled, name) for name in names}
    more: dict[str, int] = {}

    def all_have() -> bool:
        for name in names:
            now = answered(scaled, name)
            before[name] = min(before[name], now)
            more[name] = now - before[name]
        return min(more.values()) >= count

    until(all_have, what=f"{count} more answers of each of {len(names)} servers")
    return list(more.values())


@contextlib.contextmanager
def continuous_load(scaled: Project, url: str) -> Iterator[dict[str, float]]:
    """Send frames until the block ends; then the dictionary has the number of each outcome."""
    outcomes: dict[str, float] = {}
    command = ("run", "--interactive", "--rm", "--network")
    network = f"{scaled.environ['COMPOSE_PROJECT_NAME']}_default"
    mounted = "/workspace/yolostream"
    with subprocess.Popen(
        [
            *("docker", *command, network, "--volume", f"{scaled.clone}:{mounted}:ro"),
            *("--env", f"PYTHONPATH={mounted}/clients", "--entrypoint", "python"),
            *("yolostream/client", f"{mounted}/tests/docker_load.py", url),
        ],
        env=scaled.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield outcomes
            out, err = process.communicate("", timeout=300)
            assert process.returncode == 0, err
            outcomes.update(json.loads(out))
        finally:
            process.kill()


def test_frames_are_spread_and_none_is_lost_while_servers_are_added_and_removed(scaled) -> None:
    with continuous_load(scaled, "dns:///triton:8001") as outcomes:
        first, second = scaled.containers("triton")
        more_answers(scaled, first, second)
        scale(scaled, 3)
        (added,) = set(scaled.containers("triton")) - {first, second}
        more_answers(scaled, added)

        def evenly() -> bool:
            # A server that was restarted, because the machine was suspended, has fewer answers.
            shares = more_answers(scaled, first, second, added, count=500)
            return min(shares) > sum(shares) / 5

        until(evenly, what="frames to be spread evenly")
        # A container that was killed like this is not restarted.
        scaled.engine.run("kill", first)
        more_answers(scaled, second, added)
    assert outcomes.keys() == {"answered", "seconds"}, outcomes


def test_a_balancer_spreads_frames_and_finds_an_added_server(scaled) -> None:
    build_haproxy_image(scaled.engine)
    scaled.run("up", "--detach", "--no-recreate", "--no-build", "--scale", "triton=2", "balancer")
    with continuous_load(scaled, "balancer:8001") as outcomes:
        first, second = scaled.containers("triton")
        more_answers(scaled, first, second)
        scale(scaled, 3)
        (added,) = set(scaled.containers("triton")) - {first, second}
        more_answers(scaled, added)
        scaled.engine.run("kill", first)
        more_answers(scaled, second, added)
    # Frames in flight to the killed server fail, because the client knows only one address.
    # HAProxy answers UNAVAILABLE, or cuts the answer, which is a ServerError.
    assert outcomes.keys() <= {"answered", "seconds", "ServerUnavailable", "ServerError"}, outcomes
    assert outcomes["answered"] > 1000, outcomes
    assert outcomes.get("ServerUnavailable", 0) + outcomes.get("ServerError", 0) < 1000, outcomes
