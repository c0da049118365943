"""The bare engine, and the GPU time of the other steps, by `server_side/times.py`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from yolostream.server.embedded import Profile

from loadtest.errors import LoadTestError
from loadtest.gpu.bench import RUNTIMES, Bench
from loadtest.perf.load import DOWNSCALED
from loadtest.repository import NETWORK, thresholds
from tools.served_onnx import read_served_onnx

_PROGRAM = Path(__file__).with_name("server_side") / "times.py"
_BATCHES, _CPU_BATCHES = (1, 2, 4, 8, 16), (1, 2)
_STAGES_BATCH = 16
_TIMEOUT_S = 900.0
"""An engine may be compiled at its first start."""


def bare(bench: Bench, profile: Profile) -> dict[str, Any]:
    """What `bare_loop` returns about the engine of a profile."""
    options = {
        "folder": str(bench.repository.resolve() / NETWORK / "1"),
        "runtime": RUNTIMES[profile],
        "batch_sizes": _CPU_BATCHES if profile == "cpu" else _BATCHES,
        "windows": bench.lengths.bare_windows,
        "window_s": bench.lengths.bare_window_s,
    }
    return run(bench.environment, "bare_loop", options | _shapes(bench.repository))


def stages(bench: Bench) -> dict[str, Any]:
    """What `stages_time` returns."""
    options = {
        "repository": str(bench.repository.resolve()),
        "batch": _STAGES_BATCH,
        "thresholds": thresholds(bench.repository),
        "repeats": bench.lengths.stage_repeats,
        "candidates": bench.network.usual_candidates,
        "frame": DOWNSCALED,
    }
    return run(bench.environment, "stages_time", options | _shapes(bench.repository))


def _shapes(repository: Path) -> dict[str, Any]:
    served = read_served_onnx(repository / NETWORK / "1" / "model.onnx")
    return {"image_shape": (3, served.height, served.width), "rows": served.rows}


def run(environment: Path, function: str, options: dict[str, Any]) -> dict[str, Any]:
    """Run a function of `times.py` with the Python of an environment.

    Returns:
        The JSON in its last line of output; engines may print other lines before.
    """
    python = environment / "bin" / "python"
    command = [str(python), str(_PROGRAM), function, json.dumps(options)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except OSError as error:
        raise LoadTestError(
            f"cannot start {python} ({error.strerror}): name another --server-environment"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LoadTestError(f"{function} did not end within {_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        words = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise LoadTestError(f"{function} in {environment} failed: {words}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))
