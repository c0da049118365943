"""The wheel in its own environment outside of the repository, as its users have it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY
from running import Finished, check, lines, poll
from yolostream._version import __version__
from yolostream.errors import PackageMissing, ServerStartError

# These tests download and install the packages of two environments.
pytestmark = pytest.mark.timeout(1200)

BUILT_FROM = ("clients/yolostream", "model_repository", "requirements", "videos")
IGNORED_BY_GIT = ("model_repository/mine/config.pbtxt", "model_repository/yolov7_fp16/1/model.plan")
MODELS = ("nms", "preprocess", "yolov7", "yolov7_fp16")


class Place:
    """A folder with an environment, where commands run without that of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "env" / "bin" / "python"
        self.environ = {
            **os.environ,
            "XDG_CACHE_HOME": str(folder / "cache"),
            # Compilation would take longer than it saves.
            "PIP_NO_COMPILE": "1",
        }
        self.environ.pop("PYTHONPATH", None)

    def install(self, requirement: str) -> None:
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet"]
        subprocess.run([*pip, requirement], env=self.environ, check=True)

    def run(self, *command: object) -> Finished:
        return subprocess.run(
            [*map(str, command)],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
        )

    def yolostream(self, *arguments: object) -> Finished:
        return self.run(self.python.with_name("yolostream"), *arguments)

    def output_of(self, program: str) -> str:
        done = self.run(self.python, "-c", program)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextlib.contextmanager
    def started(self, *arguments: object, until: str) -> Iterator[Path]:
        """Run a command until the block ends; yields the path of its log."""
        log = self.folder / f"{arguments[0]}.log"
        with (
            log.open("wb") as file,
            subprocess.Popen(
                [self.python.with_name("yolostream"), *map(str, arguments)],
                cwd=self.folder,
                env=self.environ,
                stderr=file,
            ) as process,
        ):
            try:
                poll(
                    lambda: until in log.read_text() or process.poll() is not None,
                    what=f"{until!r} in {log}",
                    deadline_s=300,
                )
                assert until in log.read_text(), log.read_text()
                yield log
                process.terminate()
                process.wait(60)
            finally:
                process.kill()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a clone with a model and a plan of the user."""
    clone = tmp_path_factory.mktemp("clone")
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(REPOSITORY / name, clone)
    for name in BUILT_FROM:
        shutil.copytree(REPOSITORY / name, clone / name)
    for name in IGNORED_BY_GIT:
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).touch()
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(build, cwd=clone, check=True, capture_output=True)
    (built,) = (clone / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The environment after `pip install yolostream`."""
    place = Place(tmp_path_factory.mktemp("away"))
    make = [sys.executable, "-m", "venv", "--without-pip", place.folder / "env"]
    subprocess.run(make, check=True)
    place.install(str(wheel))
    return place


@pytest.fixture(scope="module")
def whole(core: Place) -> Place:
    """The same environment after the commands that its error messages recommend."""
    core.install("yolostream[service]")
    done = core.yolostream("install-server")
    assert done.returncode == 0, done.stderr
    return core


def test_the_wheel_has_all_files_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = REPOSITORY / "clients" / "yolostream"
    models = REPOSITORY / "model_repository"
    expected = {f"yolostream/{path.relative_to(package)}" for path in files_in(package)}
    expected |= {
        f"yolostream/data/model_repository/{path.relative_to(models)}"
        for model in MODELS
        for path in files_in(models / model)
        if ".plan" not in path.name
    }
    expected |= {f"yolostream/data/videos/{clip}.mp4" for clip in ("mb1_1", "mb2_2")}
    lists = ("server", "server-gpu", "server-torch")
    expected |= {f"yolostream/data/requirements/{name}.txt" for name in lists}
    assert packed == expected
    assert "yolostream/py.typed" in packed
    assert f"dist/{wheel.name}[service]" in (REPOSITORY / "docs" / "wheel.md").read_text()


def files_in(folder: Path) -> list[Path]:
    paths = folder.rglob("*")
    return [path for path in paths if path.is_file() and path.parent.name != "__pycache__"]


def test_the_core_is_a_client_and_a_command_without_ffmpeg(core: Place) -> None:
    assert core.yolostream("--version").stdout == f"yolostream {__version__}\n"
    assert core.output_of("import yolostream; print(yolostream.Detector.__name__)") == "Detector"
    absent = "import importlib.util as util; print(*map(util.find_spec, ('av', 'fastapi')))"
    assert core.output_of(absent) == "None None"
    checks = json.loads(core.yolostream("doctor", "--json").stdout)
    assert {check["part"] for check in checks} >= {"client", "embedded Triton", "DeepStream files"}
    check(
        core.yolostream("detect", "street.mp4", "--stride", "3"),
        PackageMissing.exit_code,
        "pip install 'yolostream[video]'",
    )
    check(
        core.yolostream("run", "cameras.yaml"),
        PackageMissing.exit_code,
        "pip install 'yolostream[service]'",
    )


def test_without_its_environment_serve_names_the_fix(core: Place) -> None:
    missing = core.yolostream("serve")
    check(missing, ServerStartError.exit_code, "run 'yolostream install-server'")
    assert str(core.folder / "cache" / "yolostream" / "server-") in missing.stderr.replace("\n", "")


def test_only_the_server_environment_is_in_the_cache(whole: Place) -> None:
    (environment,) = (whole.folder / "cache" / "yolostream").iterdir()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert environment.name.startswith(f"server-{version}-")
    assert (environment / ".cpu").exists()


def test_only_one_opencv_is_installed(whole: Place) -> None:
    owners = "from importlib import metadata; print(*metadata.packages_distributions()['cv2'])"
    assert set(whole.output_of(owners).split()) == {"opencv-python-headless"}


def test_detect_starts_its_own_server(whole: Place) -> None:
    serve = ("serve", "--http-port", 0, "--grpc-port", 0, "--metrics-port", 0)
    with whole.started(*serve, until="is ready at") as log:
        (ready,) = (line for line in log.read_text().splitlines() if "is ready at" in line)
        url = ready.split()[4]
        done = whole.yolostream("detect", "--demo", "--url", url, "--limit", 20, "--save", "jsonl")
    assert done.returncode == 0, done.stderr
    for clip in ("mb1_1", "mb2_2"):
        found = lines(whole.folder / "output" / f"{clip}.jsonl")
        assert len(found) == 20
        assert all(frame["detections"] for frame in found)


def test_the_demo_runs_live(whole: Place) -> None:
    run = ("run", "--demo", "--listen", "127.0.0.1:0")
    with whole.started(*run, until="the page is at") as log:
        address = log.read_text().split("the page is at ")[1].split()[0]

        def cameras() -> list[dict]:
            with urllib.request.urlopen(f"{address}/api/v1/cameras", timeout=60) as answer:
                return json.load(answer)

        poll(
            lambda: all(one["frames_done"] for one in cameras()),
            what="frames of both cameras",
            deadline_s=300,
        )
        assert {one["name"] for one in cameras()} == {"mb1_1", "mb2_2"}
        with urllib.request.urlopen(address, timeout=60) as page:
            assert b"<!doctype html>" in page.read(100)
