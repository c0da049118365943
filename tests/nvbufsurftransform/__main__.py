"""Measure how much the emulation's pixels differ from those of NvBufSurfTransform, on a GPU.

    python -m tests.nvbufsurftransform --output FOLDER

It takes a minute. It prints a line for each case, and writes measured.json, frames.npz with the
frames, and for each filter a filterN.zip with the library's output for frames and patterns, as PNG.
It also writes recorded.npz, which tests without a GPU read from tests/data/nvbufsurftransform.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from yolostream.image import Image

from tests.nvinferserver.errors import PipelineFailed

from .cases import CASES, FILTERS, FULL_FRAME, Case, surface_of
from .differences import Difference, shift
from .isolated import Crash, Outcome, outcomes
from .patterns import RATIOS, requests
from .recorded import FILE, parts

Patterns = dict[str, Image] | Crash
"""Output pictures of the library, by name."""

_console = Console(width=160, markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the emulation with NvBufSurfTransform.")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    cases, patterns = _transformed_cases(), _transformed_patterns()
    measured = {
        "cases": [_measured(case, outcome) for case, outcome in cases.items()],
        "patterns": [
            {"ratio": ratio, "filter": number, **_ended(outcome)}
            for (ratio, number), outcome in patterns.items()
        ],
    }
    (folder / "measured.json").write_text(json.dumps(measured, indent=1))
    _write_frames(folder / "frames.npz")
    recorded = {}
    for number in FILTERS:
        images = dict(_images_of(number, cases, patterns))
        with zipfile.ZipFile(folder / f"filter{number}.zip", "w") as archive:
            for name, image in images.items():
                _write(archive, name, image)
        recorded |= {
            str(part): images[part.of][part.kept] for part in parts() if part.number == number
        }
    np.savez_compressed(folder / FILE.name, allow_pickle=False, **recorded)
    for row in measured["cases"] + measured["patterns"]:
        _console.print(" ".join(_short(value) for value in row.values()))


def _transformed_cases() -> dict[Case, Outcome]:
    return dict(zip(CASES, outcomes([case.request()] for case in CASES), strict=True))


def _transformed_patterns() -> dict[tuple[str, int], Patterns]:
    """The outcomes of all patterns, by ratio and filter."""
    of_patterns = {
        (ratio, number): requests(ratio, number) for ratio in RATIOS for number in FILTERS
    }
    made = outcomes([*by_name.values()] for by_name in of_patterns.values())
    return {
        key: outcome if isinstance(outcome, Crash) else dict(zip(by_name, outcome, strict=True))
        for (key, by_name), outcome in zip(of_patterns.items(), made, strict=True)
    }


def _images_of(
    number: int, cases: dict[Case, Outcome], patterns: dict[tuple[str, int], Patterns]
) -> Iterator[tuple[str, Image]]:
    """A filter's output pictures by file name; only a quarter of full frames, to save space."""
    for case, outcome in cases.items():
        if case.number == number and not isinstance(outcome, Crash):
            (image,) = outcome
            height, width, _ = image.shape
            if case.mode == FULL_FRAME:
                image = image[height // 2 :, width // 2 :]
            yield f"{case.mode}/{case.size_name}", image
    for ratio in RATIOS:
        by_name = patterns[ratio, number]
        if not isinstance(by_name, Crash):
            yield from ((f"patterns/{ratio}/{name}", image) for name, image in by_name.items())


def _measured(case: Case, outcome: Outcome) -> dict[str, Any]:
    row = {"filter": case.number, "mode": case.mode, "size": case.size_name, **_ended(outcome)}
    try:
        replayed = case.replayed()
    except PipelineFailed as failed:
        return {**row, "replay": str(failed)}
    if isinstance(outcome, Crash):
        return row
    (image,) = outcome
    return {**row, **asdict(Difference.of(image, replayed)), "shift": shift(image, replayed)}


def _ended(outcome: Outcome | Patterns) -> dict[str, Any]:
    return {"crash": asdict(outcome)} if isinstance(outcome, Crash) else {}


def _short(value: Any) -> str:
    """Describe a crash by its kind and the end of the last line of output."""
    if isinstance(value, dict):
        last = (value["said"].splitlines() or [""])[-1]
        return f"{value['how']} ({last[-60:]})"
    return str(value)


def _write(archive: zipfile.ZipFile, name: str, image: Image) -> None:
    gray = (image == image[..., :1]).all()
    _, png = cv2.imencode(".png", image[..., 0] if gray else image[..., ::-1])
    archive.writestr(f"{name}.png", png.tobytes())


def _write_frames(path: Path) -> None:
    planes = {}
    for case in CASES:
        surface = surface_of(case.size)
        planes[f"luma_{case.size_name}"] = surface.luma
        planes[f"chroma_{case.size_name}"] = surface.chroma
    np.savez_compressed(path, allow_pickle=False, **planes)


if __name__ == "__main__":
    main()
