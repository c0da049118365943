"""Checks DeepStream configurations against each other and the model repository.

The checks start nothing and contact no server. They follow the rules in the sources of DeepStream
7.1, which itself reports most violations with one unclear line, or not at all.
"""

from __future__ import annotations

from pathlib import Path

from yolostream.doctor.check import Problem
from yolostream.doctor.deepstream.application_config import check_application
from yolostream.doctor.deepstream.inference_config import check_inference_config
from yolostream.doctor.deepstream.tracker_config import check_tracker_config


def check_deepstream(folder: Path, model_repository: Path) -> list[Problem]:
    """Check every DeepStream configuration in a folder and below.

    Args:
        folder: Folder with `config_infer_*.txt` of nvinferserver, `config_tracker_*.yml`, and INI
            files of deepstream-app (all other `*.txt`).
        model_repository: Folder of models for Triton.
    """
    texts, trackers = sorted(folder.rglob("*.txt")), sorted(folder.rglob("config_tracker_*.yml"))
    if not texts:
        return [Problem(str(folder), "has no DeepStream configuration", "restore it, or run here")]
    problems = [problem for path in trackers for problem in check_tracker_config(path)]
    for path in texts:
        inference = path.name.startswith("config_infer_")
        check = check_inference_config if inference else check_application
        problems += check(path, model_repository)
    return problems
