from __future__ import annotations

import contextlib
import fcntl
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from instant import serve_instant
from yolostream import Detector
from yolostream.errors import ServerUnavailable
from yolostream.interruption import STOP_SIGNALS
from yolostream.server import embedded

REPOSITORY = Path(__file__).parents[1]
_LIMITED = (
    "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
    "runpy.run_module('yolostream', run_name='__main__')"
)


def pytest_configure() -> None:
    # Shells start background jobs with SIGINT ignored, and nohup ignores SIGHUP too. The processes
    # that tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _stop_signals_as_before() -> Iterator[None]:
    # A command that runs in this process changes the handlers, and leaves the signals ignored.
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def triton() -> Iterator[embedded.EmbeddedTriton]:
    with embedded.serve(
        REPOSITORY / "model_repository",
        environment=REPOSITORY / ".venv-server",
        # Only this model, because others that a developer has installed may be broken.
        models=["yolov7"],
        profile="cpu",
        stop_timeout_s=0,
    ) as server:
        yield server


@pytest.fixture(scope="module")
def instant() -> Iterator[embedded.EmbeddedTriton]:
    """A Triton with the model of `instant`, which takes no time."""
    with serve_instant() as server:
        yield server


@pytest.fixture(scope="session")
def _detector(triton: embedded.EmbeddedTriton) -> Iterator[Detector]:
    with Detector(triton.url) as detector:
        yield detector


@pytest.fixture
def detector(
    triton: embedded.EmbeddedTriton, _detector: Detector, _restarts_seen: set[int]
) -> Detector:
    """One detector for all tests.

    If the machine was suspended for a second, Triton is restarted, and the detector's next frame
    fails. That frame is sent here, so that no test fails because of it.
    """
    restarts = triton.health().restarts
    if restarts not in _restarts_seen:
        _restarts_seen.add(restarts)
        with contextlib.suppress(ServerUnavailable):
            _detector.detect(np.zeros((8, 8, 3), np.uint8))
    return _detector


@pytest.fixture(scope="session")
def _restarts_seen() -> set[int]:
    return {0}


@pytest.fixture(scope="module")
def only_perf_analyzer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run perf_analyzer in one process at a time: its shared memory always has the same names."""
    # In the folder of the whole run, which all processes of pytest-xdist share.
    with (tmp_path_factory.getbasetemp().parent / "perf_analyzer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def yolostream_cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process; no file may exceed `largest_file` bytes."""

    def run(
        *arguments: object, timeout: float = 120, largest_file: int | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        program = ["-m", "yolostream"]
        if largest_file is not None:
            # Not with preexec_fn, which forks this process: gRPC's threads do not survive a fork.
            program = ["-c", _LIMITED.format(limit=largest_file)]
        return subprocess.run(
            [sys.executable, *program, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def demo_frames() -> Callable[[str, Iterable[int]], list[npt.NDArray[np.uint8]]]:
    """Read frames of a demo clip by their numbers: uint8 [720, 1280, 3], RGB."""

    def read(name: str, numbers: Iterable[int]) -> list[npt.NDArray[np.uint8]]:
        wanted = set(numbers)
        with av.open(str(REPOSITORY / "videos" / f"{name}.mp4")) as container:
            return [
                frame.to_ndarray(format="rgb24")
                for number, frame in enumerate(container.decode(video=0))
                if number in wanted
            ]

    return read
