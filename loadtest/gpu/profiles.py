"""The profiles that can be measured, and the bare engine of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import GpuError

HAS_GPU = any(Path("/dev").glob("nvidia[0-9]*"))


@dataclass(frozen=True)
class Profile:
    """One way to serve.

    Attributes:
        name: As `configs/NAME.pbtxt`.
        runtime: As `open_network` of the network's folder takes it; `cpu` for ONNX Runtime there.
        batch_sizes: That the bare engine is measured with, smallest first.
        on_gpu: Whether it needs one.
    """

    name: str
    runtime: str
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8, 16)
    on_gpu: bool = True


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("onnx-gpu", "onnxruntime"),
        Profile("cudnn-gpu", "cudnn"),
        Profile("torch-gpu", "torch"),
        Profile("cpu", "cpu", batch_sizes=(1, 2), on_gpu=False),
    )
}


def chosen(names: list[str]) -> list[Profile]:
    """The profiles of these names, or all that run on a GPU if there are no names.

    Raises:
        GpuError: A name is unknown, or there is no GPU.
    """
    if unknown := set(names) - set(PROFILES):
        raise GpuError(f"no profile '{min(unknown)}': choose among {', '.join(PROFILES)}")
    usual = [name for name, profile in PROFILES.items() if profile.on_gpu]
    profiles = [PROFILES[name] for name in names or usual]
    if any(profile.on_gpu for profile in profiles) and not HAS_GPU:
        raise GpuError("no NVIDIA GPU here (/dev/nvidia0): run it on one, or with --profile cpu")
    return profiles
