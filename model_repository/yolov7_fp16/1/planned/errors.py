"""Why the profile `cudnn-gpu` cannot serve; each message says to serve `onnx-gpu`.

PlannedError
├── PlanError
└── CudnnError
"""

from __future__ import annotations


class PlannedError(ValueError):
    """The profile `cudnn-gpu` cannot serve this network on this machine.

    Attributes:
        reason: The message without the advice.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: serve the profile 'onnx-gpu'")


class PlanError(PlannedError):
    """The network has something that no launch computes; the message names it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the profile 'cudnn-gpu' does not support {what}")


class CudnnError(PlannedError):
    """cuDNN cannot be loaded, or it refuses something; the message has its own words."""
