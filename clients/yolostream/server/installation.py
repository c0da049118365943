"""An installation of Triton, as in NVIDIA's container."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Installation:
    """A tritonserver with its backends where it looks for them itself."""

    folder: Path
    """`/opt/tritonserver` in NVIDIA's images."""

    @property
    def program(self) -> Path:
        """Tritonserver itself."""
        return self.folder / "bin" / "tritonserver"

    @classmethod
    def at(cls, folder: Path) -> Installation | None:
        """The installation in a folder; None if the folder is something else."""
        found = cls(folder)
        return found if found.program.exists() else None
