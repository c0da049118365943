"""The profiles that can be measured, and what the bare engine of each is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import GpuError
from loadtest.repository import MODELS


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


def chosen(
    names: list[str], *, devices: Path = Path("/dev"), models: Path = MODELS
) -> list[Profile]:
    """The profiles of these names, or without any all that run on a GPU.

    Args:
        names: As the command line has them.
        devices: Folder of the device files.
        models: Model repository; a profile without a configuration in it is left out.

    Raises:
        GpuError: A name is unknown or has no configuration, or there is no GPU.
    """
    there = {path.stem for path in models.glob("*/configs/*.pbtxt")}
    for name in names:
        if name not in PROFILES or name not in there:
            known = ", ".join(sorted(there & set(PROFILES)))
            raise GpuError(f"no profile '{name}': choose among {known}")
    wanted = names or [one.name for one in PROFILES.values() if one.on_gpu and one.name in there]
    profiles = [PROFILES[name] for name in wanted]
    if any(profile.on_gpu for profile in profiles) and not gpus(devices):
        raise GpuError("no NVIDIA GPU here (/dev/nvidia0): run it on one, or with --profile cpu")
    return profiles


def gpus(devices: Path = Path("/dev")) -> list[Path]:
    """Device files of this machine's GPUs."""
    return sorted(devices.glob("nvidia[0-9]*"))
