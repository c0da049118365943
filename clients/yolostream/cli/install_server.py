"""`yolostream install-server`."""

from __future__ import annotations

from typing import Annotated

import typer

from yolostream.cli.messages import print_note, stderr
from yolostream.cli.server import DEFAULT_SERVER_ENVIRONMENT, ServerEnvironment
from yolostream.server import embedded, installing
from yolostream.server.gpus import gpu_numbers


def install_server(
    profile: Annotated[
        embedded.Profile,
        typer.Option(
            help="The most that it can serve: on the CPU (0.5 GB of disk), or on a GPU, with ONNX "
            "Runtime (2.7 GB) or PyTorch (more)."
        ),
    ] = "cpu",
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
) -> None:
    """Download tritonserver and what its models need from PyPI, once.

    Commands that start a Triton find it by themselves afterwards. The environment of another
    profile takes the place of the one before.
    """
    if profile == "cpu" and gpu_numbers():
        print_note("this serves on the CPU; for the GPU of this machine: --profile onnx-gpu")
    installing.install(server_environment, profile)
    stderr.print(f"installed in {server_environment}", soft_wrap=True, highlight=False)
