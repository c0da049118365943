"""Where the parts of this repository lie."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
MODELS = REPOSITORY / "model_repository"
SERVER_ENVIRONMENT = REPOSITORY / ".venv-server"
VIDEOS = REPOSITORY / "videos"
RESULTS_FOLDER = REPOSITORY / "loadtest" / "results"
