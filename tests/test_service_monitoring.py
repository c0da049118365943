"""Every query of the dashboard and the rules, asked of a Prometheus that scrapes a service."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import signal
import subprocess
from fractions import Fraction

import psutil
import pytest
import yaml
from clips import gray, write_clip
from conftest import REPOSITORY
from instant import MODEL
from instant import REPOSITORY as MODELS
from loopback import LOOPBACK, reserved_port
from real_prometheus import needs_prometheus, prometheus, promtool
from running import started
from yolostream.server.gpus import gpu_numbers
from yolostream.service.metrics.camera_tables import STATES

MONITORING = REPOSITORY / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana/dashboards/yolostream.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    pytest.param(panel, target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
RULES = {
    rule.get("alert") or rule["record"]: rule
    for path in sorted((MONITORING / "rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
}
ALERTS = [name for name, rule in RULES.items() if "alert" in rule]
RECORDS = [name for name, rule in RULES.items() if "record" in rule]

ONLY_WITH_A_GPU = "nv_gpu_"


def test_the_dashboard_is_whole():
    assert re.fullmatch(r"[a-z-]{1,40}", DASHBOARD["uid"])
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(set(titles)) == len(titles)
    for panel in PANELS:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) > 0
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    source, *others = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert [one["name"] for one in others] == ["instance", "camera"]


def test_panels_lie_side_by_side_in_24_columns():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_query_of_cameras_follows_the_choice_of_cameras():
    for panel in PANELS:
        for target in panel["targets"]:
            for name, labels in re.findall(r"(yolostream_\w+)\{(.*?)\}", target["expr"]):
                assert 'instance=~"$instance"' in labels, f"{panel['title']}: {name}"
            names = set(re.findall(r"yolostream_\w+", target["expr"]))
            if any("camera" in name or "frame" in name or "sink" in name for name in names):
                assert 'camera=~"$camera"' in target["expr"], panel["title"]


@needs_prometheus
def test_promtool_finds_no_fault_with_configuration_and_rules(tmp_path):
    assert "SUCCESS" in promtool("check", "config", MONITORING / "prometheus.yml")
    for path in (MONITORING / "rules").glob("*.yml"):
        assert "SUCCESS" in promtool("check", "rules", path)


@needs_prometheus
def test_each_alert_fires_when_it_should_and_not_before():
    assert "SUCCESS" in promtool("test", "rules", MONITORING / "alerts_test.yml")
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    asked = list(itertools.chain(*(one["alert_rule_test"] for one in tests)))
    assert {one["alertname"] for one in asked if one.get("exp_alerts")} == set(ALERTS)
    assert {one["alertname"] for one in asked if not one.get("exp_alerts")} >= set(ALERTS) - {
        # Its neighbor, which is not too old, has the same times.
        "YolostreamFramesOld",
        "YolostreamFramesLost",
    }


def configured(folder, *, port: int):
    """The configuration of the repository with another port, and none that takes its time."""
    shutil.copytree(MONITORING / "rules", folder / "rules")
    for path in (folder / "rules").iterdir():
        path.write_text(re.sub(r"^( +for:) \w+$", r"\1 0s", path.read_text(), flags=re.M))
    text = (MONITORING / "prometheus.yml").read_text()
    assert text.count("127.0.0.1:8080") == 2
    text = text.replace("127.0.0.1:8080", f"{LOOPBACK}:{port}")
    text = re.sub(r"^( *\w+_interval:) \w+$", r"\1 1s", text, flags=re.M)
    path = folder / "prometheus.yml"
    path.write_text(text)
    return path


class Watched:
    """A service with its Prometheus."""

    def __init__(self, process: subprocess.Popen[str], monitor) -> None:
        self.process = process
        self.query, self.wait_for = monitor.query, monitor.wait_for

    def children(self, words: str) -> list[psutil.Process]:
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in found if words in " ".join(one.cmdline())]

    def wait_for_alert(self, name: str, **labels: str) -> None:
        chosen = ",".join(f'{key}="{value}"' for key, value in labels.items())
        self.wait_for(f'ALERTS{{alertname="{name}",alertstate="firing",{chosen}}}')


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A camera that lives, one that is away, one that is too much, and one whose frames fail."""
    folder = tmp_path_factory.mktemp("monitoring")
    clips = {
        "street": write_clip(folder / "street.mp4", [gray(100)] * 30),
        # See the instant model: 0.3 s each, and a full queue.
        "slow": write_clip(folder / "slow.mp4", [gray(220)] * 30, rate=Fraction(30)),
        "failing": write_clip(folder / "failing.mp4", [gray(250)] * 30, rate=Fraction(2)),
    }
    with reserved_port() as port:
        cameras = [*clips.values(), f"rtsp://{LOOPBACK}:{port}/away"]
        options = (
            "--model",
            MODEL,
            "--model-repository",
            MODELS,
            "--profile",
            "cpu",
            "--listen",
            "127.0.0.1:0",
        )
        with started(folder, "run", *cameras, *options) as process:
            page = next(line for line in process.stderr if "http://" in line)
            configuration = configured(folder, port=int(page.rpartition(":")[2]))
            # Nobody may have to wait because nobody reads.
            with (folder / "said").open("w") as said:
                reader = subprocess.Popen(["cat"], stdin=process.stderr, stdout=said)
                with prometheus(configuration, folder) as monitor:
                    yield Watched(process, monitor)
                process.terminate()
                process.wait(60)
                reader.wait(60)


def put_in(expression: str) -> str:
    """The expression as Grafana sends it with all services and cameras chosen."""
    # Four times the interval of the scrapes, and some, where the machine is busy.
    for variable, value in (("__rate_interval", "15s"), ("instance", ".*"), ("camera", ".*")):
        expression = expression.replace(f"${variable}", value)
    assert "$" not in expression
    return expression


@needs_prometheus
def test_both_are_scraped(watched):
    for job in ("yolostream", "triton"):
        watched.wait_for(f'up{{job="{job}"}} == 1')
    # Whatever is counted has been scraped twice.
    watched.wait_for('rate(yolostream_frames_lost_total{camera="failing"}[1m]) > 0')
    watched.wait_for('rate(yolostream_frames_dropped_total{camera="slow"}[1m]) > 0')
    watched.wait_for("rate(nv_inference_request_failure[1m]) > 0")


@needs_prometheus
@pytest.mark.parametrize(("panel", "expression"), QUERIES)
def test_each_query_of_the_dashboard_has_data(watched, panel, expression):
    query = put_in(expression)
    if expression.startswith(ONLY_WITH_A_GPU) and not gpu_numbers():
        assert watched.query(query) == []
        return
    series = watched.wait_for(query)
    labels = set(series[0]["metric"])
    for target in panel["targets"]:
        if target["expr"] == expression:
            # What the legend names is there.
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels
    if panel["type"] == "stat":
        assert len(series) == 1
    if panel["title"] == "Cameras by state":
        assert {one["metric"]["state"] for one in series} == set(STATES)
        assert sum(float(one["value"][1]) for one in series) == 4


@needs_prometheus
@pytest.mark.parametrize("name", RECORDS)
def test_each_recording_rule_has_data(watched, name):
    watched.wait_for(name)


@needs_prometheus
@pytest.mark.parametrize("variable", ["instance", "camera"])
def test_the_choices_of_the_dashboard_are_there(watched, variable):
    (one,) = [one for one in DASHBOARD["templating"]["list"] if one["name"] == variable]
    series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"]["query"]).groups()
    found = {each["metric"][label] for each in watched.wait_for(put_in(series))}
    assert found == {"street", "slow", "failing", "away"} if variable == "camera" else found


@needs_prometheus
def test_alerts_name_what_is_wrong_with_the_cameras(watched):
    watched.wait_for_alert("YolostreamCameraAway", camera="away")
    watched.wait_for_alert("YolostreamFramesOld", camera="slow")
    watched.wait_for_alert("YolostreamFramesDropped", camera="slow")
    watched.wait_for_alert("YolostreamFramesLost", camera="failing")
    firing = watched.query('ALERTS{alertname="YolostreamCameraAway",alertstate="firing"}')
    assert {one["metric"]["camera"] for one in firing} == {"away"}
    for name in ("YolostreamServerAway", "YolostreamWorkerRestarts", "YolostreamAway"):
        assert watched.query(f'ALERTS{{alertname="{name}"}}') == []


@needs_prometheus
def test_an_alert_tells_of_a_worker_that_died(watched):
    (worker,) = watched.children("spawn_main")
    worker.kill()
    watched.wait_for_alert("YolostreamWorkerRestarts")


@needs_prometheus
def test_an_alert_tells_of_a_server_that_is_away(watched):
    (server,) = watched.children("bin/tritonserver")
    server.send_signal(signal.SIGKILL)
    watched.wait_for_alert("YolostreamServerAway")


@needs_prometheus
def test_an_alert_tells_of_a_service_that_does_not_answer(watched):
    watched.process.send_signal(signal.SIGINT)
    watched.wait_for_alert("YolostreamAway")
