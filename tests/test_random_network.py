"""The network with random weights that the GPU benchmark serves."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from needs import needs

from loadtest.gpu import bench
from loadtest.gpu.bench import USUAL_CANDIDATES
from loadtest.perf.load import DOWNSCALED
from loadtest.perf.load import frames as frames_of
from tools.served_onnx import read_served_onnx

needs("torch", variable="REQUIRE_TORCH")

from loadtest.gpu import random_network  # noqa: E402  # needs PyTorch


def test_the_network_finds_a_plausible_number_of_objects_and_can_be_served(tmp_path):
    path = tmp_path / "model.onnx"
    frames = frames_of(DOWNSCALED)
    random_network.export(path, frames, table="yolov7-tiny-half")
    counts = bench.network_at(path).candidates
    assert len(counts) == len(frames)
    assert np.mean(counts) == pytest.approx(USUAL_CANDIDATES, rel=0.2)
    served = read_served_onnx(path)
    assert (served.height, served.width, served.rows) == (640, 640, 25200)
    weights = {tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in weights
