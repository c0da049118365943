"""The detector where there is no TensorRT: the same names and tensors, served by ONNX Runtime.

Only the profiles `cpu` and `onnx-gpu` run this file; the default profile serves `model.plan`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        options = onnxruntime.SessionOptions()
        instances = sum(group["count"] for group in config["instance_group"])
        options.intra_op_num_threads = int(parameters["intra_op_threads"]) or max(
            1, len(os.sched_getaffinity(0)) // instances
        )
        # Idle threads that spin would take the cores that decode, track and encode.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = Path(__file__).with_name("model.onnx")
        providers = parameters["execution_providers"].split(",")
        self.session = onnxruntime.InferenceSession(model, options, providers=providers)
        if self.session.get_providers()[0] != providers[0]:
            raise pb_utils.TritonModelException(
                f"ONNX Runtime has no {providers[0]} here, only {self.session.get_providers()}: "
                "install onnxruntime-gpu, or serve the profile 'cpu'"
            )

    def execute(self, requests):
        """Run the frames of all requests as one batch."""
        batches = [pb_utils.get_input_tensor_by_name(r, "input").as_numpy() for r in requests]
        images = batches[0] if len(batches) == 1 else np.concatenate(batches)
        (output,) = self.session.run(["output"], {"input": images})
        ends = np.cumsum([len(batch) for batch in batches])
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("output", rows)])
            for rows in np.split(output, ends[:-1])
        ]
