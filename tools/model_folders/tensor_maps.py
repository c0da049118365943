"""Checks that the tensors of an ensemble's steps match, before Triton loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.errors import RepositoryError
from tools.model_folders.files import CONFIG, Files, parse_config, read_config

_ANY = -1


def check_tensor_maps(repository: Path, files: Files, ensemble: str) -> None:
    """Check the shapes of all tensors between the steps of an ensemble, in every profile.

    Args:
        repository: Model repository.
        files: Files that will be written to it.
        ensemble: Name of the ensemble.

    Raises:
        RepositoryError: A step's input has another shape than the tensor that it gets.
    """

    def config(model: str, profile: Path) -> tuple[Path, Any]:
        """Path and content of the configuration that Triton will load for `model` in a profile."""
        candidates = (Path(model, profile), Path(model, CONFIG))
        there = (p for p in candidates if p in files or (repository / p).exists())
        path = next(there, candidates[-1])
        if path in files:
            return path, parse_config(files[path], path)
        return path, read_config(repository / path)

    for profile in _profiles(files):
        _, whole = config(ensemble, profile)
        tensors = {tensor.name: list(tensor.dims) for tensor in whole.input}
        for step in whole.ensemble_scheduling.step:
            path, model = config(step.model_name, profile)
            for tensor in model.input:
                given = tensors[step.input_map[tensor.name]]
                if not _fit(given, list(tensor.dims)):
                    raise RepositoryError(
                        f"'{tensor.name}' of {repository / path} takes {list(tensor.dims)}, but "
                        f"'{ensemble}' gives it {given}: set its dims to {given}, or -1 for any"
                    )
            tensors |= {step.output_map[t.name]: list(t.dims) for t in model.output}


def _profiles(files: Files) -> list[Path]:
    """Paths of all configurations, relative to a model's folder."""
    return sorted({path.relative_to(path.parts[0]) for path in files if path.suffix == ".pbtxt"})


def _fit(given: list[int], taken: list[int]) -> bool:
    return len(given) == len(taken) and all(
        size == other or _ANY in (size, other) for size, other in zip(given, taken, strict=True)
    )
