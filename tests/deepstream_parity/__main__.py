"""Measure the agreement of DeepStream and the Python client.

    python -m tests.deepstream_parity

It takes half an hour on two cores. It writes docs/deepstream_parity.json, and the tables in
docs/deepstream.md.
"""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from yolostream.server import embedded

from tests.deepstream_parity.filters import CLIP, emulate
from tests.deepstream_parity.material import clips, scenes
from tests.deepstream_parity.measure import MODEL, REPOSITORY, measure
from tests.deepstream_parity.table import PAGE, RESULTS, with_figures
from tools.served_onnx import read_served_onnx

EVERY = 5
SCENES = 40


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.deepstream_parity", description=__doc__)
    parser.add_argument(
        "--every", type=int, default=1, help=f"of {CLIP}'s frames, for the filters (default: 1)"
    )
    every = parser.parse_args().every
    console = Console(stderr=True)
    console.print("Drawing streets ...")
    material = {"demo clips": clips(every=EVERY), "generated streets": scenes(SCENES)}
    console.print("Looking at them from both sides ...")
    with embedded.serve(
        REPOSITORY / "model_repository",
        environment=REPOSITORY / ".venv-server",
        models=["yolov7"],
        profile="cpu",
    ) as server:
        measured = {name: measure(server.url, part) for name, part in material.items()}
        filters = emulate(server.url, clips(every=every, names=[CLIP]))
    figures = {
        "command": "python -m tests.deepstream_parity",
        "model_sha256": read_served_onnx(MODEL).sha256,
        "material": measured,
        "filters": filters,
    }
    page = with_figures(PAGE.read_text(), figures)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    PAGE.write_text(page)
    console.print(f"Written to {RESULTS.name} and {PAGE.name}")


if __name__ == "__main__":
    main()
