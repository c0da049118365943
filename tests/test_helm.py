"""The chart for Kubernetes, rendered by Helm, with the schemas of Kubernetes and its operators."""

from __future__ import annotations

import copy
import functools
import json

import pytest
import yaml
from conftest import REPOSITORY
from helm_chart import (
    CASES,
    CHART,
    EVERYTHING,
    NAME,
    NAMESPACE,
    ON_CPU,
    ON_GPU,
    containers,
    merged,
    needs_helm,
    notes,
    only,
    pods,
    render,
    within,
)

pytestmark = needs_helm

CASE = pytest.mark.parametrize("case", CASES)
MONITORING = REPOSITORY / "monitoring"


@CASE
def test_helm_lint_finds_no_error(case):
    import helm_python

    report = helm_python.lint(CHART, CASES[case], strict=True)
    assert report["total_charts_linted"] == 1
    # Helm recommends an icon, which the chart does not have.
    assert [one["error"] for one in report["messages"]] == ["icon is recommended"]


@functools.cache
def definitions(version):
    from kubernetes_validate import utils
    from referencing import Registry, Resource

    contents = utils.schema_contents(
        f"kubernetes-json-schema/v{version}-local-strict/_definitions.json", version
    )
    return Resource.from_contents(contents) @ Registry()


def schema_errors(one, version):
    """The errors of the schema of Kubernetes, which also rejects unknown keys."""
    import jsonschema
    from kubernetes_validate import utils
    from referencing import Resource

    group, _, api = one["apiVersion"].rpartition("/")
    kind = "-".join(filter(None, (one["kind"].lower(), group.partition(".")[0], api)))
    schema = utils.schema_contents(
        f"kubernetes-json-schema/v{version}-local-strict/{kind}.json", version
    )
    registry = Resource.from_contents(schema) @ definitions(version)
    validator = jsonschema.Draft202012Validator(schema, registry=registry)
    return [f"{kind} {error.json_path}: {error.message}" for error in validator.iter_errors(one)]


FOREIGN = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}


def oldest():
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    return version.removeprefix(">=").removesuffix("-0")


@CASE
def test_kubernetes_accepts_every_object_and_every_key(case):
    objects = [one for one in render(CASES[case]) if one["kind"] not in FOREIGN]
    assert len(objects) >= 10
    faults = [fault for one in objects for fault in schema_errors(one, "1.37.0")]
    assert not faults


def test_the_oldest_supported_kubernetes_accepts_every_object():
    assert oldest() == "1.27.0"
    objects = [one for one in render(CASES["gpu-everything"]) if one["kind"] not in FOREIGN]
    assert not [fault for one in objects for fault in schema_errors(one, oldest())]


def test_an_unknown_key_is_an_error_of_the_schema():
    deployment = copy.deepcopy(only(render(ON_GPU), "Deployment"))
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    (fault,) = schema_errors(deployment, "1.37.0")
    assert "readynessProbe" in fault


def model_of(one):
    if one["kind"] == "ScaledObject":
        from cloudcoil.models.keda import v1alpha1 as module
    else:
        from cloudcoil.models.prometheus_operator import v1 as module

    assert one["apiVersion"].endswith(module.__name__.rpartition(".")[2])
    return getattr(module, one["kind"])


@pytest.mark.parametrize("case", ["gpu-everything", "cpu-everything", "keda", "monitoring"])
def test_keda_and_the_prometheus_operator_accept_every_key(case):
    objects = [one for one in render(CASES[case]) if one["kind"] in FOREIGN]
    assert objects
    for one in objects:
        parsed = model_of(one).model_validate(one)
        # Unknown keys would be missing from the dump.
        assert parsed.model_dump(mode="json", by_alias=True, exclude_unset=True) == one


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (within("triton.image", ""), "triton.image: name the image"),
        (within("triton.plan.image", ""), "triton.plan.image: name the image"),
        (within("ingest.image", ""), "ingest.image: name the image"),
        (within("ingest.tokenSecret", ""), "ingest.tokenSecret: the page is reached by others"),
        (
            within("monitoring.serviceMonitors.enabled", True),
            "monitoring.serviceMonitors.tokenSecret: name a secret",
        ),
        (within("networkPolicy.enabled", False), "triton.tokenSecret: without networkPolicy"),
        (within("triton.profile", "cpu"), "triton.gpus: the profile cpu uses none: say 0"),
        (within("triton.gpus", 0), "triton.gpus: the profile plan needs one"),
        (
            within("cameras.gate", {"source": "rtsp://h/s", "username": "u", "password": "secret"}),
            "cameras.gate.password: it would lie open in a ConfigMap",
        ),
        (
            within("cameras.gate", {"source": "rtsp://me:secret@h/s"}),
            "cameras.gate.source: the password in it would lie open",
        ),
        (
            within("cameras.gate", {"source": "rtsp://me:$secret@h/s"}),
            "cameras.gate.source: the password in it would lie open",
        ),
        (
            within("defaults.outputs", {"push": "rtsp://me:secret@h/s"}),
            "defaults.outputs.push: the password in it would lie open",
        ),
        (
            within("cameras.gate", {"source": "rtsp://me:${GATE}@h/s"}),
            "cameras.gate: ${GATE} is the key of a secret: name it in ingest.credentialsSecret",
        ),
    ],
)
def test_missing_or_contradictory_values_are_named(values, words):
    from helm_python import HelmError

    with pytest.raises(HelmError) as raised:
        render(merged(ON_GPU, values))
    assert words in str(raised.value)
    assert "secret@" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (within("ingest.replica", 3), "'/ingest': additional properties 'replica' not allowed"),
        (within("tritn", {}), "additional properties 'tritn' not allowed"),
        (within("triton.plan.imag", "x"), "'/triton/plan': additional properties 'imag'"),
        (within("triton.profile", "gpu"), "'/triton/profile': value must be one of 'plan'"),
        (within("triton.sharedMemory", "1gb"), "'/triton/sharedMemory'"),
        (within("networkPolicy.cameras", ["10.0.0.5"]), "'/networkPolicy/cameras/0'"),
        (within("networkPolicy.dnsCaches", ["10.0.0.5"]), "'/networkPolicy/dnsCaches/0'"),
        (
            within("cameras.gate", {"source": "rtsp://h/s", "confidance": 0.5}),
            "'/cameras/gate': additional properties 'confidance' not allowed",
        ),
        (within("cameras.gate", {}), "'/cameras/gate': missing property 'source'"),
        (within("cameras.the gate", {"source": "0"}), "additional properties 'the gate'"),
        (within("defaults.max_age", 0), "'/defaults/max_age'"),
        (within("ingest.traces", {"endpoint": "collector"}), "'/ingest/traces"),
        (within("ingest.autoscaling.camerasPerReplica", 0), "/ingest/autoscaling/camerasPer"),
    ],
)
def test_unknown_or_invalid_values_are_named(values, words):
    from helm_python import HelmValuesError

    with pytest.raises(HelmValuesError) as raised:
        render(merged(ON_GPU, values))
    assert words in str(raised.value)


def keys(values, path=""):
    """The dotted paths of all keys in the values."""
    for key, value in values.items():
        yield path + key
        if isinstance(value, dict) and value:
            yield from keys(value, f"{path}{key}.")


def schema_keys(schema, path=""):
    for key, one in schema["properties"].items():
        yield path + key
        if "properties" in one:
            yield from schema_keys(one, f"{path}{key}.")


def test_the_schema_has_exactly_the_keys_of_the_values():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    arbitrary = ("resources.", "labels.")
    present = {key for key in keys(values) if not any(word in key for word in arbitrary)}
    # Helm passes `global` to charts that are part of another chart.
    assert {key for key in schema_keys(schema) if not any(word in key for word in arbitrary)} == {
        "global",
        *present,
    }


@CASE
def test_pods_comply_with_the_restricted_security_standard(case):
    found = pods(render(CASES[case]))
    assert found.keys() == {"triton", "ingest"}
    for pod in found.values():
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert all("hostPort" not in port for port in container.get("ports", ()))
        for volume in spec["volumes"]:
            (kind,) = volume.keys() - {"name"}
            assert kind in ("emptyDir", "secret", "configMap", "persistentVolumeClaim")


@CASE
def test_every_mount_has_a_volume_and_every_volume_is_mounted(case):
    objects = render(CASES[case])
    claims = only(objects, "StatefulSet")["spec"].get("volumeClaimTemplates", [])
    for component, pod in pods(objects).items():
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        if component == "ingest":
            volumes |= {claim["metadata"]["name"] for claim in claims}
        mounts = [one["volumeMounts"] for one in containers(pod)]
        assert {mount["name"] for some in mounts for mount in some} == volumes
        for some in mounts:
            paths = [mount["mountPath"] for mount in some]
            # The runtime cannot create a mount point inside a read-only volume.
            assert not [p for p in paths for q in paths if p.startswith(f"{q}/")]


@CASE
def test_only_ingest_has_a_service_account_token_and_only_for_leases(case):
    objects = render(CASES[case])
    found = pods(objects)
    assert found["triton"]["spec"]["automountServiceAccountToken"] is False
    account = only(objects, "ServiceAccount")["metadata"]["name"]
    assert found["ingest"]["spec"]["serviceAccountName"] == account
    binding = only(objects, "RoleBinding")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    ]
    role = only(objects, "Role")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (rule,) = role["rules"]
    assert (rule["apiGroups"], rule["resources"]) == (["coordination.k8s.io"], ["leases"])


def matches(selector, labels):
    return selector["matchLabels"].items() <= labels.items()


@CASE
def test_every_selector_selects_the_pods_of_its_component(case):
    objects = render(CASES[case])
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects).items()}
    selectors = [
        (one, one["spec"]["selector"])
        for one in objects
        if one["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget")
    ]
    selectors += [
        (one, {"matchLabels": one["spec"]["selector"]})
        for one in objects
        if one["kind"] == "Service"
    ]
    assert len(selectors) == 6
    for one, selector in selectors:
        component = one["metadata"]["labels"]["app.kubernetes.io/component"]
        assert [name for name in labels if matches(selector, labels[name])] == [component]
    for scaled in (one for one in objects if one["kind"] == "ScaledObject"):
        target = scaled["spec"]["scaleTargetRef"]
        assert "replicas" not in only(objects, target["kind"], target["name"])["spec"]


@CASE
def test_ports_are_consistent_in_services_probes_and_monitors(case):
    objects = render(CASES[case])
    named = {
        component: {
            port["name"]: port["containerPort"]
            for container in pod["spec"]["containers"]
            for port in container["ports"]
        }
        for component, pod in pods(objects).items()
    }
    for service in (one for one in objects if one["kind"] == "Service"):
        component = service["metadata"]["labels"]["app.kubernetes.io/component"]
        for port in service["spec"]["ports"]:
            assert named[component][port["targetPort"]] == port["port"]
    for component, pod in pods(objects).items():
        for container in pod["spec"]["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe in container:
                    assert container[probe]["httpGet"]["port"] in named[component]
    for monitor in (one for one in objects if one["kind"] == "ServiceMonitor"):
        component = monitor["metadata"]["labels"]["app.kubernetes.io/component"]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in named[component]
        service = only(objects, "Service", component)
        assert matches(monitor["spec"]["selector"], service["metadata"]["labels"])


def flows(objects):
    """The rules of all network policies: component, direction, peers, ports."""
    for policy in (one for one in objects if one["kind"] == "NetworkPolicy"):
        component = policy["metadata"]["labels"].get("app.kubernetes.io/component")
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, ()):
                ports = {port["port"] for port in rule.get("ports", ())}
                yield component, direction, json.dumps(rule.get(side)), ports


def test_network_policies_allow_only_the_named_connections():
    objects = render(ON_GPU)
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects).items()}
    closed = only(objects, "NetworkPolicy", "nothing")["spec"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert closed.keys() == {"podSelector", "policyTypes"}
    assert all(matches(closed["podSelector"], one) for one in labels.values())
    found = list(flows(objects))
    of_triton = [(peers, ports) for who, way, peers, ports in found if who == "triton"]
    assert [ports for _, ports in of_triton] == [{8001}, {8002}]
    assert '"app.kubernetes.io/component": "ingest"' in of_triton[0][0]
    assert "monitoring" in of_triton[1][0]
    into_ingest = [ports for who, way, _, ports in found if (who, way) == ("ingest", "ingress")]
    assert into_ingest == [{8080}]
    from_ingest = [ports for who, way, _, ports in found if (who, way) == ("ingest", "egress")]
    # Triton, DNS, the Kubernetes API for leases, and cameras at any port.
    assert from_ingest == [{8001}, {53}, {443, 6443}, set()]


@pytest.mark.parametrize(
    ("values", "caches"),
    [({}, ["169.254.20.10/32"]), (within("networkPolicy.dnsCaches", []), [])],
)
def test_dns_is_allowed_in_the_cluster_and_to_the_cache_of_a_node(values, caches):
    (peers,) = (
        peers for *_, peers, ports in flows(render(merged(ON_GPU, values))) if ports == {53}
    )
    cluster, *blocks = json.loads(peers)
    assert cluster["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
    assert [one["ipBlock"]["cidr"] for one in blocks] == caches


def test_without_prometheus_metrics_and_page_are_not_reachable():
    values = merged(ON_GPU, within("networkPolicy.metricsFrom", []))
    ways = [(who, way) for who, way, _, _ in flows(render(values))]
    assert ways.count(("triton", "ingress")) == 1
    assert ("ingest", "ingress") not in ways


def test_rules_and_dashboard_are_those_of_the_monitoring_folder():
    objects = render(CASES["monitoring"])
    groups = [
        group
        for name in ("recording", "alerts")
        for group in yaml.safe_load((MONITORING / "rules" / f"{name}.yml").read_text())["groups"]
    ]
    assert only(objects, "PrometheusRule")["spec"]["groups"] == groups
    dashboard = only(objects, "ConfigMap", "dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    theirs = (MONITORING / "grafana/dashboards/yolostream.json").read_text()
    assert json.loads(dashboard["data"]["yolostream.json"]) == json.loads(theirs)


def test_a_packaged_chart_is_complete(tmp_path):
    from helm_python import Chart

    with Chart.load(CHART) as chart:
        archive = chart.save(tmp_path)
    # In the archive, the links to monitoring/ have become files.
    with Chart.load(archive) as packed:
        everything = CASES["gpu-everything"]
        assert render(everything, packed) == render(everything)


@pytest.mark.parametrize("component", ["triton", "ingest"])
def test_autoscaling_does_not_treat_missing_metrics_as_no_load(component):
    scaled = only(render(CASES["gpu-everything"]), "ScaledObject", component)
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["type"] == "prometheus"
    # By default, KEDA treats missing metrics as no load.
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    # KEDA supports a fallback only for averages.
    assert trigger["metricType"] == "AverageValue"
    assert scaled["spec"]["fallback"]["replicas"] >= scaled["spec"]["minReplicaCount"]
    assert f'service="{NAME}-{component}"' in trigger["metadata"]["query"]
    assert trigger["authenticationRef"] == {"name": "prometheus"}


def test_only_changes_other_than_those_of_cameras_restart_pods():
    def restarts(*values):
        one, other = (pods(render(merged(ON_GPU, *some)))["ingest"] for some in ((), values))
        return one != other

    assert not restarts(within("cameras.gate", {"source": "rtsp://h/s"}))
    assert not restarts(within("defaults.fps", 10))
    assert restarts(within("ingest.names", ["cameras.example"]))
    assert restarts(within("ingest.outputs", True))


def test_the_values_for_a_cpu_request_no_gpu():
    assert "nvidia.com/gpu" not in json.dumps(render(merged(ON_GPU, ON_CPU)))
    assert "nvidia.com/gpu" in json.dumps(render(ON_GPU))
    assert "initContainers" not in pods(render(merged(ON_GPU, ON_CPU)))["triton"]["spec"]


def test_the_notes_of_the_chart_name_the_next_steps():
    text = notes(
        merged(ON_GPU, {"cameras": EVERYTHING["cameras"]}, within("ingest.credentialsSecret", "c"))
    )
    assert text.startswith("\n2 cameras are read by demo-yolostream-ingest")
    assert "--container plan" in text
    assert "--container plan" not in notes(merged(ON_GPU, ON_CPU))
