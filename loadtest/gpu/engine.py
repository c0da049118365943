"""The bare engine, and the GPU time of the other stages, without a server.

Both are measured by programs in `server_side`, which run with the server's own Python.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from loadtest.errors import LoadTestError
from loadtest.gpu.bench import STAGES_BATCH, Lengths
from loadtest.gpu.profiles import Profile
from loadtest.perf.process import DOWNSCALED
from loadtest.repository import NETWORK, thresholds
from tools.served_onnx import read_served_onnx

_FOLDER = Path(__file__).with_name("server_side")
_TIMEOUT_S = 900.0
"""An engine may be compiled at its first start."""


def bare(environment: Path, repository: Path, profile: Profile, lengths: Lengths) -> dict[str, Any]:
    """Run the engine of a profile in a loop, in one process.

    Returns:
        By batch size: `frames_per_s`, the median of the windows; `windows`, each of them; and
        `p50_ms` of one run.

    Raises:
        LoadTestError: It fails.
    """
    folder = repository.resolve() / NETWORK / "1"
    served = read_served_onnx(folder / "model.onnx")
    arguments = {
        "folder": str(folder),
        "model": str(folder / "model.onnx"),
        "runtime": profile.runtime,
        "device": 0,
        "batch_sizes": profile.batch_sizes,
        "image_shape": (3, served.height, served.width),
        "rows": served.rows,
        "windows": lengths.bare_windows,
        "window_s": lengths.bare_window_s,
    }
    return run(environment, "bare_loop", arguments)


def stages(environment: Path, repository: Path, *, candidates: int, repeats: int) -> dict[str, Any]:
    """Measure the GPU time of `preprocess` and `nms`, with so many rows above the threshold.

    Returns:
        `preprocess_us` and `nms_us`, microseconds a frame; `batch`, frames a call; and `frame`,
        their height and width in pixels.

    Raises:
        LoadTestError: It fails.
    """
    served = read_served_onnx(repository / NETWORK / "1" / "model.onnx")
    arguments = {
        "repository": str(repository.resolve()),
        "batch": STAGES_BATCH,
        "image_shape": (3, served.height, served.width),
        "rows": served.rows,
        "thresholds": thresholds(repository),
        "repeats": repeats,
        "candidates": candidates,
        "frame": DOWNSCALED,
    }
    return run(environment, "stages_time", arguments)


def run(environment: Path, program: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a program of `server_side`, with its arguments as JSON.

    Returns:
        The JSON in its last line of output; engines may print other lines before.

    Raises:
        LoadTestError: It fails, or does not end.
    """
    python = environment / "bin" / "python"
    command = [str(python), str(_FOLDER / f"{program}.py"), json.dumps(arguments)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except OSError as error:
        raise LoadTestError(
            f"cannot start {python} ({error.strerror}): name another --server-environment"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LoadTestError(f"{program} did not end within {_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        words = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise LoadTestError(f"{program} in {environment} failed: {words}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))
