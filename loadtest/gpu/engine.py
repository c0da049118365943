"""The bare engine, and the GPU time of the two other stages, measured without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadtest.gpu import in_server
from loadtest.gpu.bench import Lengths
from loadtest.gpu.model_folders import NETWORK, thresholds
from loadtest.gpu.profiles import Profile
from loadtest.gpu.rows import STAGES_BATCH
from loadtest.perf.points import DOWNSCALED
from tools.served_onnx import read_served_onnx

_DEVICE = 0


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
        "device": _DEVICE,
        "batch_sizes": profile.batch_sizes,
        "image_shape": (3, served.height, served.width),
        "rows": served.rows,
        "windows": lengths.bare_windows,
        "window_s": lengths.bare_window_s,
    }
    return in_server.run(environment, "bare_loop", arguments)


def stages(environment: Path, repository: Path, *, candidates: int, repeats: int) -> dict[str, Any]:
    """Measure the GPU time of `preprocess` and `nms`.

    Args:
        environment: Virtual environment of the server.
        repository: Model repository with the stages.
        candidates: Rows of a frame above the threshold.
        repeats: Calls.

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
    return in_server.run(environment, "stages_time", arguments)
