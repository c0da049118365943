"""The detector where there is no TensorRT plan: the same names and tensors.

Only the profiles `cpu`, `onnx-gpu` and `torch-gpu` run this file; the default profile serves
`model.plan`.
"""

from __future__ import annotations

import contextlib
import gc
import json
from pathlib import Path

import triton_python_backend_utils as pb_utils

from .gpu import Gpu

_MODEL = Path(__file__).with_name("model.onnx")


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        on_gpu = args["model_instance_kind"] == "GPU"
        stage = _GpuStage if on_gpu else _CpuStage
        self.stage = stage(config, int(args["model_instance_device_id"]))
        # The objects made so far stay. The garbage collector skips them, and delays no frame.
        gc.freeze()

    def execute(self, requests):
        """Run the images of all requests as one batch."""
        tensors = [pb_utils.get_input_tensor_by_name(request, "input") for request in requests]
        with self.stage.computing():
            answers = self.stage.run([self.stage.read(tensor) for tensor in tensors])
        return [pb_utils.InferenceResponse([self.stage.tensor("output", rows)]) for rows in answers]


class _CpuStage:
    computing = contextlib.nullcontext

    def __init__(self, config, device):
        from .cpu_network import CpuNetwork

        threads = int(config["parameters"]["intra_op_threads"]["string_value"])
        instances = sum(group["count"] for group in config["instance_group"])
        self.run = CpuNetwork(_MODEL, threads=threads, instances=instances).run

    def read(self, tensor):
        return tensor.as_numpy()

    def tensor(self, name, array):
        return pb_utils.Tensor(name, array)


class _GpuStage:
    def __init__(self, config, device):
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        gpu = Gpu(config, device)
        self.computing, self.read, self.tensor = gpu.computing, gpu.array, gpu.tensor
        with gpu.opening():
            from .network import open_network

            self.run = open_network(
                _MODEL,
                runtime=parameters["runtime"],
                stream=gpu.stream,
                batch_sizes=_powers_of_two(int(parameters["largest_launch"])),
                max_batch=config["max_batch_size"],
                image_shape=tuple(config["input"][0]["dims"]),
                rows=config["output"][0]["dims"][0],
            ).run


def _powers_of_two(largest):
    return [1 << power for power in range(largest.bit_length())]
