"""What the planner cannot plan."""

from __future__ import annotations


class PlanError(ValueError):
    """The graph has something that is not planned; the message names it, and what to serve."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no launch is planned for {what}: serve the profile 'onnx-gpu'")
