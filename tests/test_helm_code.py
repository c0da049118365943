"""Compares the chart for Kubernetes with the programs that it runs."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import re
import shutil
import subprocess
import sys
from fractions import Fraction

import pytest
import requests
import yaml
from clips import gray, write_clip
from conftest import REPOSITORY
from helm_chart import (
    CASES,
    CHART,
    NAME,
    NAMESPACE,
    ON_CPU,
    ON_GPU,
    merged,
    needs_helm,
    only,
    pods,
    render,
    within,
)
from instant import MODEL
from instant import REPOSITORY as INSTANT
from loopback import LOOPBACK, reserved_port
from running import DEADLINE_S, poll
from typer.main import get_command
from yolostream import cli
from yolostream._version import __version__
from yolostream.doctor import machine, pod
from yolostream.errors import ServiceError
from yolostream.server import embedded, tritonserver
from yolostream.service import configuration_file
from yolostream.service.leases import kubernetes
from yolostream.service.leases.sharing import Sharing
from yolostream.service.settings import WebSettings

from tools import build_engine, chart_schema
from tools.errors import EngineError

pytestmark = needs_helm

CASE = pytest.mark.parametrize("case", CASES)
ENVIRONMENT = dict(
    line.split("=", 1)
    for line in (REPOSITORY / ".env").read_text().splitlines()
    if line and not line.startswith("#")
)
GIB = 2**30


def container_of(case, component):
    (one,) = pods(render(CASES[case]))[component]["spec"]["containers"]
    return one


def moved(text, folder):
    """Replace the paths of a container by paths below `folder`."""
    paths = r"/(secrets|etc/yolostream|models|var/lib/yolostream|opt/server|opt/tritonserver)\b"
    return re.sub(paths, rf"{folder}\g<0>", text)


def fill(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def parsed(arguments, folder):
    """Parse the arguments of a container with the command line."""
    name, *words = [moved(word, folder) for word in arguments]
    command = get_command(cli.app).commands[name]
    return command.make_context(name, words).params


@CASE
def test_the_command_line_accepts_every_option_of_triton(case, tmp_path):
    fill(tmp_path, "secrets/triton/token")
    values = CASES[case]
    container = container_of(case, "triton")
    parameters = parsed(container["args"], tmp_path)
    profile = values["triton"].get("profile", "plan")
    # A plan needs no profile, because the default configurations use it.
    assert parameters["profile"] == (None if profile == "plan" else profile)
    assert (parameters["token_file"] is not None) == bool(values["triton"].get("tokenSecret"))
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    ports = [parameters["http_port"], named["grpc"], named["metrics"]]
    assert ports == [parameters["http_port"], parameters["grpc_port"], parameters["metrics_port"]]
    assert ports == list(machine.PORTS)
    assert parameters["health_port"] == named["health"]
    # The port is the same as in docker/services.yaml.
    assert f'"127.0.0.1", {named["health"]}' in (REPOSITORY / "docker/services.yaml").read_text()


@CASE
def test_the_command_line_accepts_every_option_of_ingest(case, tmp_path):
    fill(tmp_path, "etc/yolostream/cameras.yaml")
    container = container_of(case, "ingest")
    parameters = parsed(container["args"], tmp_path)
    assert parameters["cameras"] == [f"{tmp_path}/etc/yolostream/cameras.yaml"]
    assert parameters["leases"] == f"kubernetes:{NAME}"
    assert parameters["lease_seconds"] == 8
    (port,) = container["ports"]
    assert port["containerPort"] == WebSettings().port


def test_the_name_of_the_leases_is_valid_even_for_the_longest_release_name():
    from helm_python import Chart

    with Chart.load(CHART) as chart:
        files = chart.render(ON_GPU, name="a" * 53, namespace=NAMESPACE)
    pod = yaml.safe_load(files["yolostream/templates/ingest/statefulset.yaml"])
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    # The name is accepted; the error is only that this is no pod.
    leases = container["args"][container["args"].index("--leases") + 1]
    with pytest.raises(ServiceError, match="automountServiceAccountToken"):
        Sharing.of(leases)
    with pytest.raises(ServiceError, match=r"at most \d+"):
        Sharing.of(f"kubernetes:{'a' * 99}")


def test_the_role_allows_all_requests_for_leases():
    verbs = {"GET": "list", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    methods = set(re.findall(r'"(GET|POST|PUT|PATCH|DELETE)"', inspect.getsource(kubernetes)))
    assert kubernetes.ACCOUNT == pod.ACCOUNT
    (rule,) = only(render(ON_GPU), "Role")["rules"]
    # 'kubectl auth can-i' and users get single leases.
    assert {verbs[method] for method in methods} == set(rule["verbs"]) - {"get"}
    assert {verbs[method] for method in methods} == set(kubernetes.VERBS)


def test_the_values_in_the_page_are_valid():
    page = (REPOSITORY / "docs" / "kubernetes.md").read_text()
    (shown,) = re.findall(r"```yaml\n(.+?)```", page, re.DOTALL)
    objects = render(yaml.safe_load(shown))
    assert "gate" in only(objects, "ConfigMap", "ingest")["data"]["cameras.yaml"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for path in re.findall(r"^\| `([\w.]+)`.* \|$", page, re.MULTILINE):
        functools.reduce(lambda section, key: section[key], path.split("."), values)


@CASE
def test_the_service_accepts_the_configuration(case, tmp_path, monkeypatch):
    for name in ("GATE_PASSWORD", "YARD_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    fill(tmp_path, "secrets/web/tokens", "secrets/triton/token")
    values = CASES[case]
    text = only(render(values), "ConfigMap", "ingest")["data"]["cameras.yaml"]
    configuration = configuration_file.parse(moved(text, tmp_path), "cameras.yaml")
    triton = only(render(values), "Service", "triton")
    grpc = next(port["port"] for port in triton["spec"]["ports"] if port["name"] == "grpc")
    assert configuration.server.url == f"dns:///{triton['metadata']['name']}.{NAMESPACE}.svc:{grpc}"
    assert triton["spec"]["clusterIP"] == "None"
    assert configuration.web.address == f"0.0.0.0:{WebSettings().port}"
    assert set(configuration.cameras) == set(values.get("cameras", ()))
    for path in (
        configuration.web.token_file,
        configuration.server.token_file,
        configuration.outputs.folder,
    ):
        if path is not None:
            inside = f"/{path.relative_to(tmp_path)}"
            mounts = container_of(case, "ingest")["volumeMounts"]
            assert any(inside.startswith(mount["mountPath"]) for mount in mounts)


def test_the_schema_of_cameras_is_that_of_the_service():
    chart = json.loads((CHART / "values.schema.json").read_text())
    service = json.loads((REPOSITORY / "docs" / "cameras.schema.json").read_text())
    # 'make helm-schema' writes these definitions.
    assert chart["$defs"] == chart_schema.definitions()
    assert "confidence" in chart["$defs"]["CameraSettings"]["properties"]
    theirs = service["properties"]["cameras"]["patternProperties"]
    assert chart["properties"]["cameras"]["patternProperties"] == theirs


def test_versions_and_names_are_those_of_this_repository():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert values["model"] == ENVIRONMENT["YOLOSTREAM_MODEL"]
    options = (REPOSITORY / "docker-compose.yaml").read_text()
    assert " ".join(values["triton"]["options"]) in options
    assert f"--server-environment {values['triton']['serverEnvironment']}\n" in options
    on_cpu = ON_CPU["triton"]["serverEnvironment"]
    assert f"-m venv {on_cpu} " in (REPOSITORY / "docker/python.Dockerfile").read_text()


def quantity(text):
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", text).groups()
    return int(number) << {"Mi": 20, "Gi": 30}[unit]


def test_shared_memory_equals_that_of_the_compose_file_and_fits_into_the_memory_limit():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    size = re.fullmatch(r"(\d+)gb", ENVIRONMENT["YOLOSTREAM_SHARED_MEMORY"])[1]
    assert quantity(values["triton"]["sharedMemory"]) == int(size) * GIB
    for section in (values["triton"], values["ingest"], merged(values, ON_CPU)["triton"]):
        assert (
            quantity(section["sharedMemory"])
            < quantity(section["resources"]["limits"]["memory"]) / 2
        )


@CASE
def test_the_time_limits_of_pods_are_those_of_their_programs(case):
    triton, ingest = (pods(render(CASES[case]))[name]["spec"] for name in ("triton", "ingest"))
    startup = triton["containers"][0]["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= max(
        embedded.START_TIMEOUT_S.values()
    )
    drain = int(triton["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    left = triton["terminationGracePeriodSeconds"] - drain
    assert left >= 2 * tritonserver.STOP_TIMEOUT_S
    unit = (REPOSITORY / "packaging/yolostream.service").read_text()
    assert ingest["terminationGracePeriodSeconds"] >= int(
        re.search(r"TimeoutStopSec=(\d+)", unit)[1]
    )
    liveness = ingest["containers"][0]["livenessProbe"]
    hangs_s = liveness["periodSeconds"] * liveness["failureThreshold"]
    assert hangs_s == int(re.search(r"WatchdogSec=(\d+)", unit)[1])
    # 'serve' supervises tritonserver itself, so no probe must restart the pod.
    assert "livenessProbe" not in triton["containers"][0]


def test_the_plan_is_built_in_the_served_repository(tmp_path, capsys):
    models, plan = pods(render(ON_GPU))["triton"]["spec"]["initContainers"]
    assert plan["command"] == ["python", "-m", build_engine.__name__]
    arguments = [moved(word, tmp_path) for word in plan["args"]]
    with pytest.raises(SystemExit) as ended:
        build_engine.main(arguments)
    assert ended.value.code == EngineError.exit_code
    assert f"no {tmp_path}/models/yolov7_fp16/config.pbtxt" in capsys.readouterr().err
    served = container_of("gpu", "triton")["args"]
    assert served[served.index("--model-repository") + 1] == arguments[-1].removeprefix(
        str(tmp_path)
    )
    python, option, script, *others = models["command"]
    assert (python, option) == ("python", "-c")
    script = script.replace('"/models"', repr(f"{tmp_path}/models"))
    subprocess.run([sys.executable, "-c", script, *others], check=True)
    assert (tmp_path / "models" / "yolov7_fp16" / "config.pbtxt").is_file()


def test_the_plan_of_own_models_is_built_in_a_copy_of_their_repository(tmp_path):
    models, _ = pods(render(CASES["gpu-everything"]))["triton"]["spec"]["initContainers"]
    claim = next(m["mountPath"] for m in models["volumeMounts"] if m["name"] == "models-claim")
    assert models["command"][-1] == claim
    (tmp_path / "claim").mkdir()
    (tmp_path / "claim" / "own").touch()
    script = models["command"][2].replace('"/models"', repr(f"{tmp_path}/models"))
    subprocess.run([sys.executable, "-c", script, tmp_path / "claim"], check=True)
    assert (tmp_path / "models" / "own").exists()


def test_the_images_for_a_gpu_copy_folders_of_this_repository():
    dockerfile = (REPOSITORY / "deploy" / "gpu.Dockerfile").read_text()
    compose = (REPOSITORY / "docker-compose.yaml").read_text()
    for name, stage in re.findall(r"^FROM (\S+) AS (\S+)$", dockerfile, re.MULTILINE):
        assert f"image: {name}\n" in compose
        assert f"--target {stage} " in dockerfile
    ignored = (REPOSITORY / ".dockerignore").read_text()
    for source in re.findall(r"^COPY (\S+) ", dockerfile, re.MULTILINE):
        assert (REPOSITORY / source).is_dir()
        # The build fails if the folder is not part of the build context.
        assert f"\n!/{source}/" in ignored


def moved_values(folder, *, port):
    """Values that can run here: with the instant model, and a file as the camera."""
    clip = write_clip(folder / "street.mp4", [gray(100)] * 30, rate=Fraction(10))
    return merged(
        ON_GPU,
        ON_CPU,
        {
            "model": MODEL,
            "cameras": {"street": {"source": str(clip)}},
            "defaults": {"model": MODEL},
            "triton": {"modelsClaim": "models", "tokenSecret": "token"},
            "ingest": {"outputs": True},
            "keda": {"prometheus": f"http://{LOOPBACK}:{port}"},
        },
        within("triton.autoscaling.enabled", True),
        within("ingest.autoscaling.enabled", True),
    )


class Pods:
    """Both programs of a release, started as in the chart, but on loopback and in a folder."""

    def __init__(self, values, folder, ports):
        self.objects = render(values)
        self.folder, self.ports = folder, ports
        self.processes = []

    def localized(self, text):
        """Replace the paths and ports in a text of the chart by those of this test."""
        for port, other in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(other), text)
        return moved(text, self.folder).replace("0.0.0.0", LOOPBACK)

    def arguments(self, component):
        (container,) = pods(self.objects)[component]["spec"]["containers"]
        return [self.localized(word) for word in container["args"]]

    def probe(self, component, kind="readinessProbe"):
        """Send a probe as kubelet does: without a token, to the address of the pod."""
        (container,) = pods(self.objects)[component]["spec"]["containers"]
        request = container[kind]["httpGet"]
        port = next(p["containerPort"] for p in container["ports"] if p["name"] == request["port"])
        return self.get(port, request["path"])

    def get(self, port, path, **headers):
        with contextlib.suppress(requests.ConnectionError), requests.Session() as session:
            session.trust_env = False
            address = f"http://{LOOPBACK}:{self.ports[port]}{path}"
            return session.get(address, headers=headers, timeout=DEADLINE_S)
        return None

    def metrics(self, component, **headers):
        """The names of the metrics at the address that Prometheus scrapes."""
        service = only(self.objects, "Service", component)
        monitor = only(render(CASES["monitoring"]), "ServiceMonitor", component)
        (endpoint,) = monitor["spec"]["endpoints"]
        port = next(p["port"] for p in service["spec"]["ports"] if p["name"] == endpoint["port"])
        response = self.get(port, endpoint["path"], **headers)
        assert response.status_code == 200
        return set(re.findall(r"^([a-z_]+)\b", response.text, re.MULTILINE))

    def is_ready(self, component, kind):
        assert all(process.poll() is None for process in self.processes), (
            "a process has ended: see its log"
        )
        answer = self.probe(component, kind)
        return answer is not None and answer.status_code == 200

    def metric_of_keda(self, component):
        (trigger,) = only(self.objects, "ScaledObject", component)["spec"]["triggers"]
        (name,) = re.findall(r"(\w+)\{", trigger["metadata"]["query"])
        return name


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pods")
    fill(folder, "secrets/web/tokens", "secrets/triton/token", "var/lib/yolostream/nothing")
    (folder / "secrets/web/tokens").unlink()
    (folder / "secrets/triton/token").write_text("t" * 32)
    # As in the pod, only owner and group can read the file.
    (folder / "secrets/triton/token").chmod(0o440)
    (folder / "opt").mkdir()
    (folder / "opt/server").symlink_to(REPOSITORY / ".venv-server")
    shutil.copytree(INSTANT, folder / "models")
    with contextlib.ExitStack() as stack:
        ports = {p: stack.enter_context(reserved_port()) for p in (8000, 8001, 8002, 8003, 8080)}
        both = Pods(moved_values(folder, port=9090), folder, ports)
        text = only(both.objects, "ConfigMap", "ingest")["data"]["cameras.yaml"]
        host = f"{NAME}-triton.{NAMESPACE}.svc"
        assert host in text
        fill(folder, "etc/yolostream/cameras.yaml")
        (folder / "etc/yolostream/cameras.yaml").write_text(
            both.localized(text).replace(host, LOOPBACK)
        )
        make_token = ["-m", "yolostream", "token", "read", "--file", folder / "secrets/web/tokens"]
        done = subprocess.run(
            [sys.executable, *make_token], check=True, capture_output=True, text=True
        )
        both.token = done.stdout.strip()
        *arguments, option, leases, _, seconds = both.arguments("ingest")
        assert (option, leases) == ("--leases", f"kubernetes:{NAME}")
        # Leases in Kubernetes work only in pods.
        (folder / "leases").mkdir()
        arguments += [option, str(folder / "leases"), "--lease-seconds", seconds]
        logs = [stack.enter_context((folder / f"{name}.log").open("w")) for name in ("t", "i")]
        for log, words in zip(logs, (both.arguments("triton"), arguments), strict=True):
            process = subprocess.Popen(
                [sys.executable, "-m", "yolostream", *words], stderr=log, stdout=log
            )
            both.processes.append(process)
            stack.callback(process.wait, DEADLINE_S)
            stack.callback(process.terminate)
        yield both


@pytest.mark.parametrize("kind", ["startupProbe", "readinessProbe"])
def test_the_probes_of_triton_succeed_when_its_model_answers(running, kind):
    poll(lambda: running.is_ready("triton", kind), what="the model's answer")


@pytest.mark.parametrize("kind", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_probes_of_ingest_succeed_when_its_page_is_served(running, kind):
    poll(lambda: running.is_ready("ingest", kind), what="the page")


def test_results_of_cameras_are_written_into_the_volume(running):
    folder = running.folder / "var/lib/yolostream/output/street"
    poll(lambda: any(p.stat().st_size for p in folder.glob("*.jsonl")), what="results")


def test_the_metrics_for_autoscaling_exist(running):
    assert running.metric_of_keda("triton") in running.metrics("triton")
    token = {"Authorization": f"Bearer {running.token}"}
    assert running.metric_of_keda("ingest") in running.metrics("ingest", **token)
    assert running.get(8080, "/metrics").status_code == 401


@pytest.mark.parametrize("domain", ["", f".{NAMESPACE}", f".{NAMESPACE}.svc"])
def test_the_page_accepts_the_names_of_its_service(running, domain):
    assert running.get(8080, "/", Host=f"{NAME}-ingest{domain}:8080").status_code == 200
    assert running.get(8080, "/", Host=f"stranger{domain}:8080").status_code == 421
