"""Options that the commands of this package share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Quick = Annotated[bool, typer.Option("--quick", help="Short windows: rough figures.")]
ServerEnvironment = Annotated[Path, typer.Option(help="Virtual environment of the server.")]
Onnx = Annotated[
    Path | None,
    typer.Option(help="The network; made there if it is missing, which needs PyTorch."),
]
Raw = Annotated[Path, typer.Option(help="What perf_analyzer wrote goes into here.")]
Output = Annotated[Path, typer.Option(help="Where the figures go.")]
