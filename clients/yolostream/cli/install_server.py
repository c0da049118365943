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
            help="What the models run on: the CPU (0.5 GB of disk), or a GPU with ONNX Runtime "
            "or cuDNN (2.7 GB for both) or PyTorch (more)."
        ),
    ] = "cpu",
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
) -> None:
    """Download tritonserver and the packages of its models from PyPI.

    Commands that start a Triton server then use this installation. It replaces an earlier one,
    also one with another profile.
    """
    if profile == "cpu" and gpu_numbers():
        print_note("this profile uses the CPU only; to use this machine's GPU: --profile onnx-gpu")
    installing.install(server_environment, profile)
    stderr.print(f"installed in {server_environment}", soft_wrap=True, highlight=False)
