"""Compiled convolutions that outlast the process: one file a device, network and cuDNN."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path


@dataclass(frozen=True)
class Choice:
    """How a convolution is computed best.

    Attributes:
        fused: Whether bias, activation and the added map are part of it.
        engine: Its name.
        microseconds: Of a launch, when it was chosen.
        plan: As cuDNN writes it.
    """

    fused: bool
    engine: str
    microseconds: float
    plan: bytes


def name_of(specification: object) -> str:
    """Of a convolution's specification, whose `repr` says everything."""
    return sha256(repr(specification).encode()).hexdigest()


def read(path: Path) -> dict[str, Choice]:
    """All choices of a file, by name; none where it is missing or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return dict(_choices(archive))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return {}


def _choices(archive: zipfile.ZipFile) -> Iterator[tuple[str, Choice]]:
    for name, facts in json.loads(archive.read("choices.json")).items():
        yield name, Choice(**facts, plan=archive.read(name))


def write(path: Path, choices: Mapping[str, Choice]) -> None:
    """Write a file, whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                facts = {
                    name: {
                        "fused": one.fused,
                        "engine": one.engine,
                        "microseconds": one.microseconds,
                    }
                    for name, one in choices.items()
                }
                archive.writestr("choices.json", json.dumps(facts))
                for name, one in choices.items():
                    archive.writestr(name, one.plan)
            file.close()
            os.replace(file.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(file.name)
            raise
