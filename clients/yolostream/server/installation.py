"""An installation of Triton, as in NVIDIA's container image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Installation:
    """A tritonserver that finds its backends by itself."""

    folder: Path
    """`/opt/tritonserver` in NVIDIA's images."""

    @property
    def program(self) -> Path:
        """The binary of tritonserver."""
        return self.folder / "bin" / "tritonserver"

    @classmethod
    def at(cls, folder: Path) -> Installation | None:
        """The installation in a folder; None if the folder has none."""
        found = cls(folder)
        return found if found.program.exists() else None
