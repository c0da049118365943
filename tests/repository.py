"""Parses the configurations in the model repository."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

ROOT = Path(__file__).parents[1] / "model_repository"
PROFILES = (None, "onnx-gpu", "cudnn-gpu", "torch-gpu", "cpu")
"""None is the default: config.pbtxt."""


def config(model: str, profile: str | None = None) -> ModelConfig:
    """The configuration that Triton loads for `model` with `--model-config-name=profile`."""
    path = ROOT / model / "configs" / f"{profile}.pbtxt"
    if profile is None or not path.exists():
        path = ROOT / model / "config.pbtxt"
    return text_format.Parse(path.read_text(), ModelConfig())


def tensors(declared) -> dict[str, tuple[int, list[int]]]:
    """The `input` or `output` of a configuration, as name -> (data type, dims)."""
    return {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in declared}


def parameters(model: str, profile: str | None = None) -> dict[str, str]:
    return {key: p.string_value for key, p in config(model, profile).parameters.items()}
