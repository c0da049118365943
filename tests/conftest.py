from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from yolostream import Detector, embedded

REPOSITORY = Path(__file__).parents[1]

# What a machine may lack, and the variable that says that it must not: there the test fails
# instead of being skipped.
REQUIREMENTS = {
    "gpu": ("REQUIRE_GPU", lambda: Path("/dev/nvidia0").exists()),
    "torch": ("REQUIRE_TORCH", lambda: _can_import("torch")),
}


def pytest_configure(config: pytest.Config) -> None:
    for name, (variable, _) in REQUIREMENTS.items():
        config.addinivalue_line("markers", f"{name}: needs {name}; must not skip if {variable}=1")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, (variable, is_here) in REQUIREMENTS.items():
        if item.get_closest_marker(name) and not is_here():
            if os.environ.get(variable) == "1":
                pytest.fail(f"{variable}=1, but there is no {name} here")
            pytest.skip(f"needs {name}")


def _can_import(module: str) -> bool:
    return (
        subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True).returncode
        == 0
    )


@pytest.fixture(scope="session")
def triton() -> Iterator[embedded.EmbeddedTriton]:
    with embedded.serve(
        REPOSITORY / "model_repository", environment=REPOSITORY / ".venv-server", profile="cpu"
    ) as server:
        yield server


@pytest.fixture(scope="session")
def detector(triton: embedded.EmbeddedTriton) -> Iterator[Detector]:
    with Detector(triton.url) as detector:
        yield detector


@pytest.fixture
def yolostream_cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(
        *arguments: object, timeout: float = 120, **options: object
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "yolostream", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def demo_frames() -> Callable[[str, Iterable[int]], list[npt.NDArray[np.uint8]]]:
    """Frames of a demo clip by number, uint8 [720, 1280, 3], RGB."""

    def read(name: str, numbers: Iterable[int]) -> list[npt.NDArray[np.uint8]]:
        wanted = set(numbers)
        with av.open(str(REPOSITORY / "videos" / f"{name}.mp4")) as container:
            return [
                frame.to_ndarray(format="rgb24")
                for number, frame in enumerate(container.decode(video=0))
                if number in wanted
            ]

    return read
