"""What comes with this package: the models of the demo, its videos, the packages of a server.

They lie in the package's folder `data` where a wheel was installed, and under the same names in the
repository where this is a clone of it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_DATA = _PACKAGE / "data"

CLONE = None if _DATA.is_dir() else _PACKAGE.parents[1]
"""The repository that this runs from; None where a wheel was installed."""

_FOLDER = CLONE or _DATA

MODEL_REPOSITORY = _FOLDER / "model_repository"
DEMO_VIDEOS = (_FOLDER / "videos" / "mb1_1.mp4", _FOLDER / "videos" / "mb2_2.mp4")
REQUIREMENTS = _FOLDER / "requirements"
"""Complete lists of packages, for pip."""
