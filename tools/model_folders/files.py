"""Generates the folders of a detector, with the shipped detector's folders as templates.

A detector NAME consists of an ensemble `NAME` and a network `NAME_fp16`. All detectors share the
step `nms`. Detectors with the same input size share a preprocess step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tools.errors import RepositoryError
from tools.served_onnx import ServedOnnx

Files = dict[Path, bytes]
"""Contents by path, relative to the model repository."""

CONFIG = Path("config.pbtxt")
REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"
"""The shipped model repository."""

_EXAMPLE = "yolov7"
_PREPROCESS = "preprocess"
_SIGN = "# Written by tools.install_model from"


def network_of(name: str) -> str:
    """Name of the network of the ensemble `name`."""
    return f"{name}_fp16"


def preprocess_of(repository: Path, served: ServedOnnx) -> str:
    """Name of the preprocess step for the model's input size."""
    shipped = _images(read_config(repository / _PREPROCESS / CONFIG))
    if list(shipped.dims[1:]) == [served.height, served.width]:
        return _PREPROCESS
    if served.height == served.width:
        return f"{_PREPROCESS}_{served.height}"
    return f"{_PREPROCESS}_{served.height}x{served.width}"


def labels_of(repository: Path) -> tuple[str, int]:
    """Name of an ensemble's label file, and the largest number of labels that clients can read."""
    ensemble = read_config(repository / _EXAMPLE / CONFIG)
    # Triton returns a label with each value of the output, so there are as many as values.
    return next((o.label_filename, o.dims[0]) for o in ensemble.output if o.label_filename)


def detector_files(
    repository: Path, name: str, served: ServedOnnx, *, model: bytes, labels: Iterable[str]
) -> Files:
    """All files that the repository needs to serve a detector.

    Existing configurations with the same meaning are kept as they are, with their comments.

    Args:
        repository: Model repository with the shipped folders.
        name: Name of the ensemble.
        served: Description of the model.
        model: Content of the ONNX file.
        labels: Class names by class id.

    Raises:
        RepositoryError: A shipped folder is missing, or a hand-written configuration would have to
            be replaced.
    """
    network, preprocess = network_of(name), preprocess_of(repository, served)
    label_file, _ = labels_of(repository)
    models = {_EXAMPLE: name, network_of(_EXAMPLE): network, _PREPROCESS: preprocess}

    def size_images(config: Any) -> None:
        _images(config).dims[1:] = [served.height, served.width]

    def size_network(config: Any) -> None:
        config.input[0].dims[1:] = [served.height, served.width]
        config.output[0].dims[0] = served.rows
        for warmup in config.model_warmup:
            for tensor in warmup.inputs.values():
                tensor.dims[:] = config.input[0].dims

    def set_steps(config: Any) -> None:
        for step in config.ensemble_scheduling.step:
            step.model_name = models.get(step.model_name, step.model_name)

    files: Files = {}
    if preprocess != _PREPROCESS:
        files |= _folder(repository, _PREPROCESS, preprocess, size_images)
    files |= _folder(repository, network_of(_EXAMPLE), network, size_network)
    files[Path(network, "1", "model.onnx")] = model
    # The ensemble is written last, when all that it needs is there.
    files |= _folder(repository, _EXAMPLE, name, set_steps)
    files[Path(name, "1", ".gitkeep")] = b""
    files[Path(name, label_file)] = "".join(f"{label}\n" for label in labels).encode()
    return files


def read_config(path: Path) -> Any:
    """Read a `config.pbtxt` as a `ModelConfig`.

    Raises:
        RepositoryError: The file cannot be read or parsed.
    """
    try:
        return parse_config(path.read_bytes(), path)
    except OSError as error:
        raise RepositoryError(
            f"cannot read {path} ({error.strerror}): a model repository needs the folders that are "
            "shipped in model_repository"
        ) from error


def parse_config(content: bytes, path: Path) -> Any:
    """Parse the content of a `config.pbtxt`; `path` is for the error message.

    Raises:
        RepositoryError: The content cannot be parsed.
    """
    try:
        return text_format.Parse(content, ModelConfig())
    except (ValueError, text_format.ParseError) as error:
        raise RepositoryError(f"{path} is not a model configuration: {error}") from error


def configs_of(folder: Path) -> list[Path]:
    """Paths of a model's configurations relative to its folder: the default, then the profiles."""
    return [CONFIG, *sorted(p.relative_to(folder) for p in folder.glob("configs/*.pbtxt"))]


def _images(preprocess: Any) -> Any:
    return next(output for output in preprocess.output if len(output.dims) == 3)


def _folder(repository: Path, source: str, name: str, edit: Callable[[Any], None]) -> Files:
    """The files of a model `name`, made from the configurations and code of the model `source`."""
    files: Files = {}
    for path in configs_of(repository / source):
        config = read_config(repository / source / path)
        config.name = name
        edit(config)
        files[Path(name, path)] = _text(repository, Path(name, path), config, Path(source, path))
    version = repository / source / "1"
    for code in sorted(version.rglob("*")):
        if code.suffix in (".py", ".cu"):
            files[Path(name, "1", code.relative_to(version))] = code.read_bytes()
    return files


def _text(repository: Path, path: Path, config: Any, source: Path) -> bytes:
    present = repository / path
    if present.exists():
        content, there = present.read_bytes(), read_config(present)
        if there == config:
            return content
        if not content.startswith(_SIGN.encode()):
            raise RepositoryError(
                f"{present} was written by hand for {_sizes(there)}, and is not overwritten, but "
                f"the new model has {_sizes(config)}: install it under another NAME"
            )
    text = text_format.MessageToString(config, use_short_repeated_primitives=True)
    return f"{_SIGN} {source}; changes here will be lost.\n{text}".encode()


def _sizes(config: Any) -> str:
    return ", ".join(f"{t.name} {list(t.dims)}" for t in [*config.input, *config.output])
