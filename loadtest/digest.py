"""What it costs that an answer says of which frame it is.

    python -m loadtest.digest

Prints the time of a digest, which the client and `preprocess` make of each frame, and what a frame
takes longer where a network in Python hands the letterbox on, with a network that computes nothing.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
import timeit
from pathlib import Path

import numpy as np
from yolostream import Detector
from yolostream.client.digest import digests
from yolostream.server import embedded

from loadtest.repository import MODELS

_SIZES = ((360, 640), (640, 640), (1080, 1920))
_FRAMES = 1000
_ROWS = 300
_NETWORK = f"""
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        tensors = [pb_utils.Tensor("output", np.zeros((1, {_ROWS}, 6), np.float32))]
        letterbox = pb_utils.get_input_tensor_by_name(request, "letterbox")
        if letterbox is not None:
            tensors.append(pb_utils.Tensor("letterbox", letterbox.as_numpy().copy()))
        return pb_utils.InferenceResponse(tensors)
"""
_ENSEMBLES = {"through": "configs/cpu.pbtxt", "around": "config.pbtxt"}
"""How the letterbox goes, and the ensemble's configuration that says so."""


def main() -> None:
    """Measure both."""
    for height, width in _SIZES:
        sys.stdout.write(f"digest of {width}x{height}: {_digest_us(height, width):.0f} us\n")
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        _write_models(models)
        with embedded.serve(
            models, environment=MODELS.parent / ".venv-server", profile="cpu"
        ) as server:
            times = _times_us(server.url)
    for name, values in times.items():
        sys.stdout.write(
            f"a frame, letterbox {name} the network: {statistics.median(values):.0f} us\n"
        )
    differences = np.subtract(times["through"], times["around"])
    sys.stdout.write(f"median of the differences: {np.median(differences):.0f} us\n")


def _digest_us(height: int, width: int) -> float:
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return min(timeit.repeat(lambda: digests([frame]), number=100, repeat=9)) / 100 * 1e6


def _write_models(models: Path) -> None:
    for step in ("preprocess", "nms"):
        shutil.copytree(MODELS / step, models / step)
    _write(models / "network", MODELS / "yolov7_fp16" / "configs" / "cpu.pbtxt", "yolov7_fp16")
    (models / "network" / "1" / "model.py").write_text(_NETWORK)
    for name, config in _ENSEMBLES.items():
        _write(models / name, MODELS / "yolov7" / config, "yolov7")
        shutil.copy(MODELS / "yolov7" / "labels.txt", models / name)


def _write(folder: Path, config: Path, name: str) -> None:
    """The configuration of the model `name` as that of `folder`, over the network of this file."""
    (folder / "1").mkdir(parents=True)
    text = config.read_text().replace("25200", str(_ROWS))
    text = text.replace(f'name: "{name}"', f'name: "{folder.name}"', 1)
    (folder / "config.pbtxt").write_text(text.replace('"yolov7_fp16"', '"network"'))


def _times_us(url: str) -> dict[str, list[float]]:
    """Of each frame, in turns, by ensemble."""
    frame = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    times: dict[str, list[float]] = {name: [] for name in _ENSEMBLES}
    with Detector(url, "through") as through, Detector(url, "around") as around:
        for _ in range(_FRAMES):
            for detector in (through, around):
                started = time.perf_counter()
                detector.detect(frame)
                times[detector.model.name].append(1e6 * (time.perf_counter() - started))
    return times


if __name__ == "__main__":
    main()
