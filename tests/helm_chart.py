"""Renders the chart for Kubernetes with Helm itself.

Tests that need Helm are skipped if it is not installed. With REQUIRE_HELM=1 they fail instead;
'make helm' and .ci/run install it.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml
from conftest import REPOSITORY
from needs import skip_where

CHART = REPOSITORY / "deploy" / "helm" / "yolostream"
RELEASE, NAMESPACE = "demo", "cameras"
NAME = "demo-yolostream"

needs_helm = skip_where(
    "" if importlib.util.find_spec("helm_python") else "helm-python-sdk ('make helm')",
    variable="REQUIRE_HELM",
)
"""To be used as the `pytestmark` of a whole file."""

Values = dict[str, Any]
Object = dict[str, Any]

ON_GPU: Values = {
    "triton": {"image": "registry/triton:1", "plan": {"image": "registry/engine:1"}},
    "ingest": {"image": "registry/yolostream:1", "tokenSecret": "tokens"},
}
"""The required values only."""
EVERYTHING: Values = {
    "cameras": {
        "gate": {
            "source": "rtsp://10.0.0.5/street",
            "username": "viewer",
            "password": "${GATE_PASSWORD}",
            "classes": ["person"],
        },
        "yard": {"source": "rtsp://viewer:${YARD_PASSWORD}@10.0.0.6/stream", "enabled": False},
    },
    "defaults": {"confidence": 0.25, "outputs": {"csv": True}},
    "imagePullSecrets": ["registry"],
    "triton": {
        "command": ["/opt/tools/bin/yolostream"],
        "modelsClaim": "models",
        "tokenSecret": "triton-token",
        "runtimeClassName": "nvidia",
        "nodeSelector": {"gpu": "yes"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "podAnnotations": {"seen": "yes"},
        "autoscaling": {"enabled": True},
    },
    "ingest": {
        "credentialsSecret": "camera-passwords",
        "names": ["cameras.example"],
        "outputs": True,
        "storage": {"size": "100Gi", "className": "fast"},
        "traces": {"endpoint": "http://collector:4318"},
        "affinity": {"nodeAffinity": {}},
        "autoscaling": {"enabled": True},
    },
    "networkPolicy": {
        "pageFrom": [{"podSelector": {"matchLabels": {"app": "proxy"}}}],
        "moreEgress": [{"ports": [{"port": 4318}]}],
    },
    "monitoring": {
        "serviceMonitors": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "tokenSecret": "metrics",
        },
        "rules": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True},
    },
    "keda": {"authentication": "prometheus", "authModes": "bearer"},
}
ON_CPU: Values = yaml.safe_load((CHART / "values-cpu.yaml").read_text())


def merged(*values: Values) -> Values:
    """Merge values as Helm merges several files: the last one wins."""
    result: Values = {}
    for one in values:
        for key, value in one.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def within(path: str, value: object) -> Values:
    """Values in which the key at a dotted path has this value."""
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


CASES = {
    "gpu": ON_GPU,
    "gpu-everything": merged(ON_GPU, EVERYTHING),
    "cpu": merged(ON_GPU, ON_CPU),
    "cpu-everything": merged(ON_GPU, EVERYTHING, ON_CPU),
    "torch": merged(ON_GPU, within("triton.profile", "torch-gpu"), within("triton.gpus", 2)),
    "keda": merged(
        ON_GPU,
        within("triton.autoscaling.enabled", True),
        within("ingest.autoscaling.enabled", True),
    ),
    "monitoring": merged(ON_GPU, {"monitoring": EVERYTHING["monitoring"]}),
    "no-policies": merged(
        ON_GPU, within("networkPolicy.enabled", False), within("triton.tokenSecret", "token")
    ),
    "dashboard-only": merged(ON_GPU, within("monitoring.dashboard.enabled", True)),
}


@cache
def _chart() -> Any:
    from helm_python import Chart

    return Chart.load(CHART)


def render(values: Values, chart: Any = None) -> list[Object]:
    """The objects that are installed with these values; they are cached, so do not change them."""
    return _objects(json.dumps(values), chart or _chart())


@cache
def _objects(values: str, chart: Any) -> list[Object]:
    files = chart.render(json.loads(values), name=RELEASE, namespace=NAMESPACE)
    texts = [text for name, text in files.items() if not name.endswith("NOTES.txt")]
    return [one for text in texts for one in yaml.load_all(text, yaml.CSafeLoader) if one]


def notes(values: Values) -> str:
    """The text that Helm prints after the installation."""
    files = _chart().render(values, name=RELEASE, namespace=NAMESPACE)
    return files["yolostream/templates/NOTES.txt"]


def only(objects: list[Object], kind: str, name: str = "") -> Object:
    """The only object of this kind whose name ends with `name`."""
    (found,) = [
        one for one in objects if one["kind"] == kind and one["metadata"]["name"].endswith(name)
    ]
    return found


def pods(objects: list[Object]) -> dict[str, Object]:
    """The pod template of each component."""
    return {
        one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"][
            "template"
        ]
        for one in objects
        if one["kind"] in ("Deployment", "StatefulSet")
    }


def containers(pod: Object) -> Iterator[Object]:
    """All containers of a pod, including the init containers."""
    yield from pod["spec"].get("initContainers", ())
    yield from pod["spec"]["containers"]
