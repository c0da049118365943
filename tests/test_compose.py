"""The compose files and Dockerfiles, compared with the code without running containers."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import socket
import subprocess
import sys
from pathlib import PurePosixPath
from string import Template

import docker_engine
import pytest
import yaml
from conftest import REPOSITORY
from docker_project import COMPOSES, compose
from repository import config
from running import poll
from typer.main import get_command
from yolostream import ServerStartError, cli
from yolostream.doctor import machine
from yolostream.doctor.deepstream import paths
from yolostream.pipeline.share import MAX_IN_FLIGHT
from yolostream.server import gpus, health
from yolostream.server.environment import ServerEnvironment

from tools.engine import trtexec
from tools.errors import EngineError

FILES = ("docker-compose.yaml", "docker-compose.cpu.yaml", "docker-compose.scale.yaml")
PROFILES = [
    word
    for name in ("deepstream", "monitoring", "live", "balancer")
    for word in ("--profile", name)
]
DOCKERFILES = sorted((REPOSITORY / "docker").glob("*.Dockerfile"))
VARIABLES = dict(
    line.split("=", 1)
    for line in (REPOSITORY / ".env").read_text().splitlines()
    if line and not line.startswith("#")
)


def parsed(path, **variables):
    text = Template(path.read_text()).substitute({**VARIABLES, **variables})
    return yaml.safe_load(text)["services"]


def read(path):
    return {name: service_of(path, name) for name in parsed(path)}


def service_of(path, name):
    """A service with its variables and `extends` resolved, and with absolute paths on the host."""
    service = parsed(path)[name]
    if build := service.get("build"):
        build["context"] = (path.parent / build["context"]).resolve()
        build["dockerfile"] = (build["context"] / build["dockerfile"]).resolve()
    if "volumes" in service:
        service["volumes"] = [mount(text, path) for text in service["volumes"]]
    if extended := service.pop("extends", None):
        base = REPOSITORY / extended["file"] if "file" in extended else path
        inherited = service_of(base, extended["service"])
        assert not inherited.keys() & service.keys(), "Compose would merge them"
        service |= inherited
    return service


def mount(text, path):
    host, inside, *mode = text.split(":")
    return (path.parent / host).resolve(), PurePosixPath(inside), mode == ["ro"]


SERVICES = [
    pytest.param(service, id=f"{file}:{name}")
    for file in FILES
    for name, service in read(REPOSITORY / file).items()
]
GPU = read(REPOSITORY / FILES[0])
CPU = read(REPOSITORY / FILES[1])
SCALED = read(REPOSITORY / FILES[2])
MONITORING = ("prometheus", "grafana")


def on_host(service, path):
    """The path on the host of a path in a container."""
    folder = PurePosixPath(service.get("working_dir", "/"))
    inside = PurePosixPath(os.path.normpath(folder / path))
    for host, target, _ in sorted(service["volumes"], key=lambda mounted: -len(str(mounted[1]))):
        if inside.is_relative_to(target):
            return host / inside.relative_to(target)
    raise AssertionError(f"nothing is mounted at {inside}")


def option(words, name):
    return words[words.index(name) + 1]


@pytest.fixture(params=COMPOSES)
def docker_compose(request):
    return compose(request.param)


def resolved(docker_compose, *files):
    arguments = [word for file in files for word in ("--file", file)]
    done = subprocess.run(
        [*docker_compose, *arguments, *PROFILES, "config"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["services"]


@pytest.mark.parametrize("file", FILES)
def test_compose_reads_the_files_as_these_tests_do(docker_compose, file):
    theirs, ours = resolved(docker_compose, file), read(REPOSITORY / file)
    assert theirs.keys() == ours.keys()
    for name, service in ours.items():
        # Versions of Compose write ports, volumes and commands in different ways.
        for key in ("image", "user", "environment", "working_dir", "ipc", "deploy", "restart"):
            assert theirs[name].get(key) == service.get(key), f"{name}.{key}"
        assert theirs[name].get("healthcheck", {}).get("test") == health_check(service)


def health_check(service):
    return service.get("healthcheck", {}).get("test")


def test_with_mps_all_processes_on_the_gpu_share_the_user_and_the_daemon(docker_compose):
    file = "docker-compose.mps.yaml"
    services, added = resolved(docker_compose, FILES[0], file), parsed(REPOSITORY / file)
    assert services["triton"]["depends_on"]["mps"]["condition"] == "service_healthy"
    on_gpu = {"mps", "triton", "deepstream"}
    assert {name for name, service in added.items() if "volumes" in service} == on_gpu
    assert {service["user"] for service in services.values()} == {VARIABLES["YOLOSTREAM_USER"]}
    # `engine` ends before the server starts.
    separate = {"engine", *MONITORING}
    joined = {
        name: service.get("ipc") for name, service in services.items() if name not in separate
    }
    assert joined.pop("mps") == "shareable"
    assert set(joined.values()) == {"service:mps"}


def test_every_variable_is_used():
    files = [REPOSITORY / file for file in FILES] + [REPOSITORY / "docker" / "services.yaml"]
    used = set(re.findall(r"\$\{(\w+)\}", "".join(path.read_text() for path in files)))
    assert used == VARIABLES.keys()


@pytest.mark.parametrize("service", SERVICES)
def test_every_path_on_the_host_exists(service):
    if build := service.get("build"):
        assert build["dockerfile"] in DOCKERFILES
        stage = build.get("target")
        assert stage is None or f" AS {stage}\n" in build["dockerfile"].read_text()
    for host, _, _ in service["volumes"]:
        # output/ is created by a run.
        assert host.exists() or host == REPOSITORY / "output"
    if "working_dir" in service:
        assert on_host(service, ".").is_relative_to(REPOSITORY)
    if path := service.get("environment", {}).get("PYTHONPATH"):
        assert (on_host(service, path) / "yolostream").is_dir()


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_can_write_only_results_or_plans(service):
    assert service["user"] == VARIABLES["YOLOSTREAM_USER"]
    assert not service["user"].startswith("0:")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"]
    assert service["tmpfs"] == ["/tmp"]
    writable = {host.name for host, _, read_only in service["volumes"] if not read_only}
    building = service.get("command", "").startswith("python -m tools.build_engine")
    assert writable <= ({"model_repository"} if building else {"output"})


@pytest.mark.parametrize("service", SERVICES)
def test_the_host_listens_on_loopback_only(service):
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("services", [GPU, CPU, SCALED], ids=FILES)
def test_the_page_is_published_on_loopback_even_if_other_services_are_not(services):
    opened = parsed(REPOSITORY / "docker" / "services.yaml", YOLOSTREAM_HOST="0.0.0.0")
    (port,) = opened["live"]["ports"]
    assert [port] == services["live"]["ports"]
    words = services["live"]["command"].split()
    assert option(words, "--listen").rpartition(":")[2] == port.rpartition(":")[2]


def test_scaled_servers_publish_no_port():
    # The port would be in use when the second server starts.
    assert "ports" not in SCALED["triton"]
    without_ports = {key: value for key, value in CPU["triton"].items() if key != "ports"}
    assert SCALED["triton"] == without_ports


def test_the_balancer_uses_the_ports_of_the_servers():
    words = SCALED["triton"]["command"].split()
    text = (REPOSITORY / "docker" / "haproxy.cfg").read_text()
    assert f"http-check connect port {option(words, '--health-port')} " in text
    assert " triton:8001 resolvers " in text
    assert "bind :8001 " in text


def test_images_for_tests_have_the_names_of_the_images_that_they_replace():
    assert VARIABLES["PYTHON_IMAGE"] == docker_engine.PYTHON_IMAGE
    assert VARIABLES["HAPROXY_IMAGE"] == docker_engine.HAPROXY_IMAGE


def test_ports_are_the_same_everywhere():
    parameters = get_command(cli.app).commands["serve"].params
    defaults = {parameter.name: parameter.default for parameter in parameters}
    served = [defaults[f"{name}_port"] for name in ("http", "grpc", "metrics")]
    assert served == list(machine.PORTS)
    for triton in (GPU["triton"], CPU["triton"]):
        assert [port.split(":")[1:] for port in triton["ports"]] == [[str(p)] * 2 for p in served]
    for client in (GPU["client"], CPU["client"]):
        assert option(client["command"].split(), "--url") == f"triton:{defaults['grpc_port']}"


def test_images_are_those_of_the_contract():
    assert VARIABLES["TRITON_IMAGE"] == trtexec.IMAGE == "nvcr.io/nvidia/tritonserver:24.08-py3"
    assert VARIABLES["DEEPSTREAM_IMAGE"] == "nvcr.io/nvidia/deepstream:7.1-triton-multiarch"


def test_dockerfiles_take_their_versions_from_the_requirements():
    for path in DOCKERFILES:
        text = path.read_text()
        assert "==" not in text
        for copied in re.findall(r"^COPY (.+) /requirements/$", text, re.MULTILINE):
            for name in copied.split():
                assert (REPOSITORY / "requirements" / PurePosixPath(name).name).exists()


@pytest.mark.parametrize("model", ["preprocess", "nms"])
def test_the_triton_image_has_what_the_python_stages_import(model):
    dockerfile = GPU["triton"]["build"]["dockerfile"].read_text()
    stage = dockerfile.partition(" AS engine")[0]
    listed, *_ = re.findall(r"--requirement /requirements/(\S+)", stage)
    pins = (REPOSITORY / "requirements" / listed).read_text()
    installed = re.findall(r"^([\w-]+)==", pins, re.MULTILINE)
    # CuPy is not installed for this test.
    packages = {**importlib.metadata.packages_distributions(), "cupy": ["cupy-cuda12x"]}
    for path in (REPOSITORY / "model_repository" / model / "1").glob("*.py"):
        for name in imported(path) - sys.stdlib_module_names - {"triton_python_backend_utils"}:
            assert set(packages[name]) & set(installed), f"{name} in {path}"


def imported(path):
    # The image is based on Ubuntu 22.04, which has Python 3.10.
    tree = ast.walk(ast.parse(path.read_text(), feature_version=(3, 10)))
    names = set()
    for node in tree:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def test_tritonserver_has_every_option():
    _, _, options = GPU["triton"]["command"].partition(" -- ")
    environment = ServerEnvironment.check(REPOSITORY / ".venv-server")
    shown = subprocess.run(
        [environment.wheel / "bin" / "tritonserver", "--help"],
        capture_output=True,
        text=True,
        env={"LD_LIBRARY_PATH": str(environment.libraries)},
    )
    known = set(re.findall(r"^  (--[\w-]+)", shown.stdout + shown.stderr, re.MULTILINE))
    assert options
    assert {option.split("=")[0] for option in options.split()} <= known


def test_shared_memory_has_room_for_all_processes_and_frames():
    size, unit = re.fullmatch(r"(\d+)(gb|mb)", VARIABLES["YOLOSTREAM_SHARED_MEMORY"]).groups()
    total = int(size) << {"mb": 20, "gb": 30}[unit]
    groups = [group for model in ("preprocess", "nms") for group in config(model).instance_group]
    # Room for one more instance, which a user may add.
    processes = 1 + sum(group.count for group in groups)
    frames = MAX_IN_FLIGHT * 1080 * 1920 * 3
    assert processes * gpus.HOST_REGION_BYTES + frames <= total


def test_a_container_is_healthy_when_its_model_answers(triton):
    assert health_check(CPU["triton"]) == health_check(GPU["triton"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert not is_healthy(port=str(port))
    with health.served("127.0.0.1", port) as answer_with:
        assert not is_healthy(port=str(port))
        answer_with(triton.health)
        poll(lambda: is_healthy(port=str(port)), what="the canary's answer")
        assert not is_healthy(port=str(port), model="unknown")


def is_healthy(*, port, model="yolov7"):
    kind, *command = health_check(GPU["triton"])
    assert kind == "CMD"
    command = [
        word.replace("8003", port).replace("health/yolov7", f"health/{model}") for word in command
    ]
    return not subprocess.run(command, capture_output=True).returncode


def test_the_health_check_uses_the_health_port():
    for triton in (CPU["triton"], GPU["triton"]):
        port = option(triton["command"].split(), "--health-port")
        assert f'("127.0.0.1", {port}, ' in health_check(triton)[-1]


def test_models_cannot_be_loaded_over_the_network():
    # Triton's default mode refuses it. The other two would run the code of any client.
    assert "control-mode" not in GPU["triton"]["command"] + CPU["triton"]["command"]


def test_the_command_of_the_client_runs(triton, yolostream_cli, tmp_path):
    words = GPU["client"]["command"].split()
    words[words.index("--url") + 1] = triton.url
    done = yolostream_cli(
        *words, "--limit", 2, "--save", "jsonl", "--output", tmp_path, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.iterdir())) == 2


def test_the_command_of_the_server_on_a_cpu_is_valid(yolostream_cli, tmp_path):
    words = CPU["triton"]["command"].split()
    environment = option(words, "--server-environment")
    assert f"-m venv {environment} " in CPU["triton"]["build"]["dockerfile"].read_text()
    check_command(yolostream_cli, words, environment, tmp_path)


def test_the_command_of_the_server_on_a_gpu_is_valid_in_its_image(yolostream_cli, tmp_path):
    python, *words = GPU["triton"]["command"].split()
    assert words[:2] == ["-m", "yolostream"]
    stage = GPU["triton"]["build"]["dockerfile"].read_text().partition(" AS engine")[0]
    assert f"uv venv --python 3.11 {python.removesuffix('/bin/python')} " in stage
    assert "--requirement /requirements/client.txt" in stage
    environment = option(words, "--server-environment")
    assert environment == "/opt/tritonserver"
    check_command(yolostream_cli, words[2:], environment, tmp_path)


def check_command(yolostream_cli, words, environment, tmp_path):
    words[words.index(environment)] = str(tmp_path)
    words[words.index("--health-port") + 1] = "0"
    done = yolostream_cli(*words)
    # The command has accepted all options, and does not find the server in this folder.
    assert done.returncode == ServerStartError.exit_code
    assert str(tmp_path) in done.stderr.replace("\n", "")


def test_the_command_of_the_engine_is_valid(tmp_path):
    python, *words = GPU["engine"]["command"].split()
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *words, "--repository", tmp_path],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert done.returncode == EngineError.exit_code
    assert f"no {tmp_path}/yolov7_fp16/config.pbtxt" in done.stderr


def test_the_doctor_maps_paths_like_the_mounts_of_the_compose_file():
    assert on_host(GPU["deepstream"], paths.MOUNT) == REPOSITORY


def test_the_deepstream_image_has_the_libraries_that_the_configurations_need():
    dockerfile = GPU["deepstream"]["build"]["dockerfile"].read_text()
    assert "user_additional_install.sh" in dockerfile  # x264enc, for enc-type=1
    assert "librdkafka1" in dockerfile  # for kafka.txt


def test_deepstream_finds_its_configurations_and_its_ports_are_published():
    deepstream = GPU["deepstream"]
    application = on_host(deepstream, option(deepstream["command"].split(), "-c"))
    assert application.is_file()
    published = {port.rpartition(":")[2] for port in deepstream["ports"]}
    for path in application.parent.glob("*.txt"):
        assert set(re.findall(r"^rtsp-port=(\d+)", path.read_text(), re.MULTILINE)) <= published
        addresses = set(re.findall(r'^\s*url: "(.+)"', path.read_text(), re.MULTILINE))
        assert addresses <= {option(GPU["client"]["command"].split(), "--url")}


@pytest.mark.parametrize("name", MONITORING)
def test_monitoring_is_the_same_in_both_files_and_starts_with_its_profile(name):
    assert GPU[name] == CPU[name]
    assert GPU[name]["profiles"] == ["monitoring"]
    # A complete version, because shorter tags are moved to newer images.
    assert re.search(r":v?\d+\.\d+\.\d+$", GPU[name]["image"])


def test_prometheus_and_grafana_find_their_files_and_each_other():
    prometheus, grafana = (GPU[name] for name in MONITORING)
    options = dict(word.removeprefix("--").split("=") for word in prometheus["command"].split())
    assert on_host(prometheus, options["config.file"]).is_file()
    provisioning = on_host(grafana, grafana["environment"]["GF_PATHS_PROVISIONING"])
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == f"http://{options['web.listen-address']}"
    (provider,) = yaml.safe_load((provisioning / "dashboards/yolostream.yml").read_text())[
        "providers"
    ]
    home = on_host(grafana, grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == on_host(grafana, provider["options"]["path"])
    assert home.is_file()


def test_monitoring_listens_on_loopback_only():
    prometheus, grafana = (GPU[name] for name in MONITORING)
    # Both use the host's network, so no port is published.
    assert prometheus["network_mode"] == grafana["network_mode"] == "host"
    assert "--web.listen-address=127.0.0.1:" in prometheus["command"]
    assert grafana["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
