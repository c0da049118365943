"""The inputs of a plan's build: the network, the shapes in `config.pbtxt`, and the precision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.errors import EngineError
from tools.model_folders.files import CONFIG, read_config
from tools.served_onnx import INPUT, OUTPUT, ROW, ServedOnnx, read_served_onnx

PRECISION = "FP16 up to the last convolutions, FP32 after them"


@dataclass(frozen=True)
class Recipe:
    """The inputs of a plan's build. Plans with equal recipe, GPU and TensorRT are equivalent.

    Attributes:
        onnx_sha256: SHA-256 of the exported network, in hexadecimal.
        dims: Shape of the input without the batch: 3, height, width in pixels.
        min_batch: Smallest batch that the plan accepts.
        opt_batch: Batch that the kernels are optimized for.
        max_batch: Largest batch that the plan accepts.
        precision: Description of the precision.
    """

    onnx_sha256: str
    dims: tuple[int, ...]
    min_batch: int
    opt_batch: int
    max_batch: int
    precision: str = PRECISION

    def shape(self, batch: int) -> str:
        """The input's shape for `batch` pictures in trtexec's format: `input:16x3x640x640`."""
        return f"{INPUT}:" + "x".join(map(str, (batch, *self.dims)))


def read_recipe(model: Path) -> Recipe:
    """Read the recipe for a model's plan.

    Args:
        model: Folder of the model in the repository, with `config.pbtxt` and `1/model.onnx`.

    Raises:
        EngineError: There is no such model, or its configuration does not allow batches, or does
            not match the network.
        OnnxError: The network cannot be served.
        RepositoryError: The configuration cannot be parsed.
    """
    path = model / CONFIG
    if not path.is_file():
        raise EngineError(
            f"there is no {path}: install the model with tools.install_model, or give its "
            "repository with --repository"
        )
    config = read_config(path)
    network = read_served_onnx(model / "1" / "model.onnx")
    _check_tensors(path, config, network)
    largest = config.max_batch_size
    if largest < 1:
        raise EngineError(f"max_batch_size of {path} must be at least 1, is {largest}")
    return Recipe(
        onnx_sha256=network.sha256,
        dims=tuple(config.input[0].dims),
        min_batch=1,
        opt_batch=max(config.dynamic_batching.preferred_batch_size, default=largest),
        max_batch=largest,
    )


def _check_tensors(path: Path, config: Any, network: ServedOnnx) -> None:
    for kind, promised, there in (
        ("input", config.input, {INPUT: [3, network.height, network.width]}),
        ("output", config.output, {OUTPUT: [network.rows, ROW]}),
    ):
        declared = {tensor.name: list(tensor.dims) for tensor in promised}
        if declared != there:
            raise EngineError(
                f"{kind} of {path} is {declared}, of {network.path} {there}: install the model "
                "that the configuration is for, or change the configuration"
            )
