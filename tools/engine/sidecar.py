"""The file `model.plan.json`, which records how the plan beside it was built."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.engine.recipe import Recipe
from tools.engine.trtexec import Machine


@dataclass(frozen=True)
class Sidecar:
    """The record of a plan's build.

    Attributes:
        recipe: Inputs of the build.
        machine: GPU and TensorRT of the build.
        build_seconds: Duration of the build.
        plan_bytes: Size of the plan.
        plan_sha256: SHA-256 of the plan, in hexadecimal.
        tool_version: Version of this project.
        built_at: Time of the build's end, ISO 8601 in UTC.
    """

    recipe: Recipe
    machine: Machine
    build_seconds: float
    plan_bytes: int
    plan_sha256: str
    tool_version: str
    built_at: str

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8")


def sidecar_of(plan: Path) -> Path:
    """Path of a plan's sidecar."""
    return plan.with_name(plan.name + ".json")


def read_sidecar(plan: Path) -> Sidecar | None:
    """Read the sidecar of a plan; None if it is missing or damaged."""
    try:
        fields: dict[str, Any] = json.loads(sidecar_of(plan).read_text(encoding="utf-8"))
        recipe, machine = fields.pop("recipe"), fields.pop("machine")
        recipe["dims"] = tuple(recipe["dims"])
        return Sidecar(recipe=Recipe(**recipe), machine=Machine(**machine), **fields)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def differences(was: Recipe | Machine, wanted: Recipe | Machine) -> list[str]:
    """The fields that differ, as `name: old, now new`."""
    old, new = dataclasses.asdict(was), dataclasses.asdict(wanted)
    return [f"{name}: {old[name]}, now {new[name]}" for name in new if old[name] != new[name]]
