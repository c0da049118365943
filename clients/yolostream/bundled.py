"""Paths of the bundled files: the demo's models and videos, and package lists for the server.

A wheel has them in the package's folder `data`. In a clone of the repository, they are in the
repository's root, under the same names.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_DATA = _PACKAGE / "data"

CLONE = None if _DATA.is_dir() else _PACKAGE.parents[1]
"""The clone of the repository that this runs from; None if a wheel was installed."""

_FOLDER = CLONE or _DATA

MODEL_REPOSITORY = _FOLDER / "model_repository"
DEMO_VIDEOS = (_FOLDER / "videos" / "mb1_1.mp4", _FOLDER / "videos" / "mb2_2.mp4")
REQUIREMENTS = _FOLDER / "requirements"
"""Folder of complete package lists for pip."""
