"""The lists of packages fit together where they share an environment or a fact."""

from __future__ import annotations

import tomllib

import pytest
from conftest import REPOSITORY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NEWEST = {"python_version": "3.13"}
OLDEST = {"python_version": "3.11"}
LISTS = sorted(path.stem for path in (REPOSITORY / "requirements").glob("*.txt"))


def pins(name, environment=NEWEST):
    """Package -> version of one list, on the Python of `environment`."""
    lines = (REPOSITORY / "requirements" / f"{name}.txt").read_text().splitlines()
    listed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {
        canonicalize_name(one.name): str(one.specifier)
        for one in listed
        if one.marker is None or one.marker.evaluate(environment)
    }


def shared(*names, environment=NEWEST):
    """Package -> its versions, of the packages that several lists have."""
    lists = [pins(name, environment) for name in names]
    several = {p for one in lists for p in one if sum(p in other for other in lists) > 1}
    return {package: {one[package] for one in lists if package in one} for package in several}


@pytest.mark.parametrize("name", LISTS)
def test_every_package_is_pinned_to_one_version(name):
    assert all(pin.startswith("==") and "," not in pin for pin in pins(name).values())


def test_a_package_is_in_one_of_the_lists_of_an_environment():
    # Those of make install, make helm, make gpu, make gpu-check, make gpu TORCH=1.
    assert not shared(
        "client", "build", "service", "traces", "dev", "helm", "gpu-client", "deepstream"
    )
    assert not shared("server-gpu", "server-torch")


@pytest.mark.parametrize(
    ("extra", "lists"),
    [
        ("", ["client"]),
        ("video", ["client"]),
        ("service", ["client", "service"]),
        ("traces", ["traces"]),
        ("gpu", ["gpu-client"]),
    ],
)
def test_a_clone_has_what_the_wheel_asks_for(extra, lists):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    assert len(extras) == 5
    installed = {package: pin for name in lists for package, pin in pins(name).items()}
    for wanted in map(Requirement, extras[extra]):
        if wanted.name == "yolostream":
            continue
        pin = installed[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(pin.removeprefix("==")), f"{wanted}: {pin}"


def test_server_and_client_have_the_same_cupy_and_cuda():
    both = shared("server-gpu", "gpu-client")
    assert {"cupy-cuda13x", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime"} <= both.keys()
    assert all(len(versions) == 1 for versions in both.values())


def test_the_server_on_a_gpu_is_the_one_on_the_cpu_but_for_onnx_runtime():
    on_cpu, on_gpu = pins("server"), pins("server-gpu")
    assert on_cpu.keys() - on_gpu.keys() == {"onnxruntime"}
    assert "onnxruntime-gpu" in on_gpu
    assert all(len(versions) == 1 for versions in shared("server", "server-gpu").values())


def test_networks_are_converted_by_the_onnx_that_exports_them():
    assert pins("server-gpu")["onnx"] == pins("dev")["onnx"]


def test_the_container_s_stages_have_the_numpy_and_opencv_of_the_server():
    both = shared("container-gpu", "server", environment=OLDEST)
    assert both.keys() == {"numpy", "opencv-python-headless"}
    assert all(len(versions) == 1 for versions in both.values())
