"""Measure again: `python -m tests.deepstream_parity`, a few minutes.

Writes docs/deepstream_parity.json, and the table in docs/deepstream.md.
"""

from __future__ import annotations

import json

from rich.console import Console
from yolostream.server import embedded

from tests.deepstream_parity.material import clips, scenes
from tests.deepstream_parity.measure import MODEL, REPOSITORY, measure
from tests.deepstream_parity.table import PAGE, RESULTS, parity_table, with_parity
from tools.served_onnx import read_served_onnx

EVERY = 5
SCENES = 40


def main() -> None:
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
    figures = {
        "command": "python -m tests.deepstream_parity",
        "model_sha256": read_served_onnx(MODEL).sha256,
        "material": measured,
    }
    page = with_parity(PAGE.read_text(), parity_table(figures))
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    PAGE.write_text(page)
    console.print(f"Written to {RESULTS.name} and {PAGE.name}")


if __name__ == "__main__":
    main()
