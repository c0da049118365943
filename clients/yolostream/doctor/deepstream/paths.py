"""Where DeepStream, in its container, looks for the files that its configurations name."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

MOUNT = PurePosixPath("/workspace/yolostream")
"""The repository, as docker-compose.yaml mounts it."""
IMAGE = PurePosixPath("/opt/nvidia/deepstream")
"""NVIDIA's own files, which nobody sees from outside the image."""

PARSERS = str(IMAGE / "deepstream/lib/libnvds_infercustomparser.so")
TRACKER = IMAGE / "deepstream/lib/libnvds_nvmultiobjecttracker.so"
DIRECT_PARSERS = "/opt/deepstream-yolo/libnvdsinfer_custom_impl_Yolo.so"
"""Where clients/deepstream/direct/Dockerfile puts it."""

FIX = "write it relative to this file, or absolute if it is in DeepStream's image"


def missing(path: str, config: Path) -> tuple[str, str] | None:
    """Why DeepStream does not find `path`, named in the file `config`, and the fix.

    Returns:
        None where it is there, and for everything in `IMAGE`.
    """
    place = _in_container(path, config)
    if place.is_relative_to(IMAGE):
        return None
    file = on_host(path, config)
    if file is None:
        what = f"'{path}' is {place} in the container, outside the mount {MOUNT}"
        return what, "put the file into the repository, and write it relative to this file"
    return None if file.is_file() else (f"there is no '{path}'", FIX)


def on_host(path: str, config: Path) -> Path | None:
    """The file of the repository that DeepStream takes `path` for; None outside of `MOUNT`."""
    place = _in_container(path, config)
    if not place.is_relative_to(MOUNT):
        return None
    return _repository(config) / place.relative_to(MOUNT)


def _in_container(path: str, config: Path) -> PurePosixPath:
    """DeepStream takes a relative path from the folder of the file that names it."""
    folder = MOUNT / config.parent.relative_to(_repository(config))
    return PurePosixPath(os.path.normpath(folder / path))


def _repository(config: Path) -> Path:
    return next(p for p in config.parents if (p / "clients" / "deepstream").is_dir())
