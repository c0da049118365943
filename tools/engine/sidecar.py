"""`model.plan.json`: what the plan beside it was built from, where, and how it came out."""

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
    """What is known of a plan.

    Attributes:
        recipe: What it was built from.
        machine: Where it was built.
        build_seconds: Wall-clock time that TensorRT took.
        plan_bytes: Its size.
        plan_sha256: Of the plan, hexadecimal.
        tool_version: Version of this project.
        built_at: When it was finished, ISO 8601 in UTC.
    """

    recipe: Recipe
    machine: Machine
    build_seconds: float
    plan_bytes: int
    plan_sha256: str
    tool_version: str
    built_at: str

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8")


def sidecar_of(plan: Path) -> Path:
    """Where the sidecar of a plan lies."""
    return plan.with_name(plan.name + ".json")


def read_sidecar(plan: Path) -> Sidecar | None:
    """The sidecar of a plan; None where there is none that can be understood."""
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
