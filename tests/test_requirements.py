"""The requirements files are consistent."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from conftest import REPOSITORY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NEWEST = {"python_version": "3.13", "python_full_version": "3.13.0"}
OLDEST = {"python_version": "3.11", "python_full_version": "3.11.0"}
LISTS = sorted(path.stem for path in (REPOSITORY / "requirements").glob("*.in"))

# 'yolostream install-server' and the load test read the other lists.
FROM_OUTSIDE = set(LISTS) - {"server-gpu", "server-torch", "perf-analyzer"}


def entries(file):
    """The requirements in a file of requirements/, each with its hashes."""
    text = (REPOSITORY / "requirements" / file).read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(Requirement(line.split(" --hash")[0]), line.split()[1:]) for line in lines]


def pins(name, environment=NEWEST, suffix="in"):
    """Package -> version in one file, for the Python of `environment`."""
    listed = [requirement for requirement, _ in entries(f"{name}.{suffix}")]
    return {
        canonicalize_name(one.name): str(one.specifier)
        for one in listed
        if one.marker is None or one.marker.evaluate(environment)
    }


def shared(*names, environment=NEWEST):
    """Package -> its versions, for the packages in several files."""
    lists = [pins(name, environment) for name in names]
    several = {p for one in lists for p in one if sum(p in other for other in lists) > 1}
    return {package: {one[package] for one in lists if package in one} for package in several}


def test_the_files_for_pip_agree_with_the_edited_ones():
    assert sorted(path.stem for path in (REPOSITORY / "requirements").glob("*.txt")) == LISTS
    for name in LISTS:
        for environment in (OLDEST, NEWEST):
            for_pip = pins(name, environment, suffix="txt")
            assert for_pip == pins(name, environment), f"{name}.in has changed: run 'make pins'"


@pytest.mark.parametrize("name", LISTS)
def test_every_package_has_hashes(name):
    for requirement, words in entries(f"{name}.txt"):
        hashes = [word for word in words if word.startswith("--hash")]
        assert hashes, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes)


def test_every_installation_from_a_file_requires_hashes():
    goals = ["install", "tools", "docs", "helm", "gpu", "gpu-check", "pins"]
    make = ["make", "--dry-run", "--always-make", *goals]
    commands = subprocess.run(make, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    scripts = [path.read_text() for path in (REPOSITORY / "docker").glob("*.Dockerfile")]
    text = "\n".join([commands.stdout, *scripts]).replace("\\\n", "").replace("&&", "\n")
    installing = re.findall(r".*\bpip .*\binstall .*", text)
    reading = [one for one in installing if ".txt" in one]
    assert {list_ for one in reading for list_ in re.findall(r"([\w-]+)\.txt", one)} == FROM_OUTSIDE
    assert all("--require-hashes" in one for one in reading)
    # The other commands install the project itself.
    rest = set(installing) - set(reading)
    assert all("--editable ." in one or "--no-index /wheel/" in one for one in rest)


def test_another_build_of_pytorch_is_installed_by_its_version_without_hashes():
    make = ["make", "--dry-run", "--always-make", ".venv-tools/.tools", "ANY_TORCH=1"]
    commands = subprocess.run(make, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    (pip,) = (line for line in commands.stdout.splitlines() if "torch==" in line)
    assert pip.split()[-1] == f"torch{pins('tools')['torch']}"
    assert "--no-deps" not in pip
    assert "tools.txt" not in commands.stdout


@pytest.mark.parametrize("name", LISTS)
def test_every_package_is_pinned_to_one_version(name):
    assert all(pin.startswith("==") and "," not in pin for pin in pins(name).values())


def test_the_requirements_files_are_complete():
    check = [sys.executable, "-m", "pip", "check"]
    report = subprocess.run(check, capture_output=True, text=True).stdout
    # The reasons are in dev.in.
    unwanted = {"axe-playwright-python": "playwright", "trackers": "opencv-python"}
    found = re.findall(r"^(\S+) \S+ requires (\S+), which is not installed", report, re.MULTILINE)
    assert dict(found) == unwanted, report


def test_a_package_is_in_only_one_file_of_an_environment():
    # The environments of make install, make helm, make gpu, make gpu-check, make tools and
    # make gpu TORCH=1.
    clone = ("client", "build", "service", "traces", "dev")
    assert not shared(*clone, "helm", "gpu-client", "deepstream")
    assert not shared(*clone, "tools")
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
def test_a_clone_has_the_packages_that_the_wheel_requires(extra, lists):
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


def test_the_servers_for_gpu_and_cpu_differ_only_in_onnx_runtime():
    on_cpu, on_gpu = pins("server"), pins("server-gpu")
    assert on_cpu.keys() - on_gpu.keys() == {"onnxruntime"}
    assert "onnxruntime-gpu" in on_gpu
    assert all(len(versions) == 1 for versions in shared("server", "server-gpu").values())


def test_conversion_and_export_use_the_same_onnx():
    assert pins("server-gpu")["onnx"] == pins("dev")["onnx"]


def test_the_container_has_the_numpy_and_opencv_of_the_server():
    both = shared("container-gpu", "server", environment=OLDEST)
    assert both.keys() == {"numpy", "opencv-python-headless"}
    assert all(len(versions) == 1 for versions in both.values())
