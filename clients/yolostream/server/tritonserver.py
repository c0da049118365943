"""The process of the tritonserver from PyPI: its command line, its environment, its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from yolostream.interruption import defer_signals
from yolostream.server.environment import ServerEnvironment
from yolostream.server.gpus import SERVER_MPS_SHARE, gpu_memory_options, gpu_numbers
from yolostream.server.ports import Ports

Profile = Literal["cpu", "onnx-gpu", "torch-gpu"]


STOP_TIMEOUT_S = 10.0
LOG = "server.log"
"""In the folder of a run."""


def command(
    run: Path,
    environment: ServerEnvironment,
    profile: Profile,
    host: str,
    ports: Ports,
) -> list[str]:
    """The command line that starts a server, without its models.

    Args:
        run: Folder of this run; the backends are put together there.
        environment: Has the binary.
        profile: Which `configs/PROFILE.pbtxt` the models load.
        host: Address to listen on.
        ports: Ports to listen on, none of them 0.
    """
    backends = _assemble_backends(run / "backends", environment)
    return [
        str(environment.wheel / "bin" / "tritonserver"),
        f"--backend-directory={backends}",
        f"--model-config-name={profile}",
        # Named after the run, so that what a crash leaves in /dev/shm can be found.
        f"--backend-config=python,shm-region-prefix-name={run.name}",
        f"--http-address={host}",
        f"--http-port={ports.http}",
        f"--grpc-address={host}",
        f"--grpc-port={ports.grpc}",
        f"--metrics-address={host}",
        f"--metrics-port={ports.metrics}",
        "--exit-timeout-secs=5",
        *([] if profile == "cpu" else gpu_memory_options(gpu_numbers())),
    ]


def _assemble_backends(folder: Path, environment: ServerEnvironment) -> Path:
    """Make one backend directory of the two folders in the wheel."""
    python_backend = folder / "python"
    python_backend.mkdir(parents=True)
    stubs = environment.wheel / "python_backend_stubs" / environment.python_version
    for part in [*(environment.wheel / "backends" / "python").iterdir(), *stubs.iterdir()]:
        (python_backend / part.name).symlink_to(part)
    # Every Python model has this module imported before its own.
    utilities = python_backend / "triton_python_backend_utils.py"
    parts = [utilities.read_text(), _callers_mps_share()]
    if environment.numpy_major >= 2:
        parts.append(Path(__file__).with_name("numpy2_tensors.py").read_text())
    utilities.unlink()
    utilities.write_text("\n".join(parts))
    return folder


def _callers_mps_share() -> str:
    """Python code that gives a model the caller's MPS share, in place of `SERVER_MPS_SHARE`."""
    given = {name: os.environ[name] for name in SERVER_MPS_SHARE if name in os.environ}
    return (
        "import os\n"
        f"for name in {list(SERVER_MPS_SHARE)}:\n"
        "    os.environ.pop(name, None)\n"
        f"os.environ.update({given})\n"
    )


@contextlib.contextmanager
def running(
    command: list[str], run: Path, environment: ServerEnvironment, variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, and its Python stubs no longer.

    Args:
        command: See `command`.
        run: Folder of this run, for its log and the number of its process.
        environment: Has the libraries that it needs.
        variables: Environment variables beside ours.
    """
    with (run / LOG).open("wb") as log:
        process = None
        try:
            with defer_signals():
                process = _start(command, log, environment, variables)
            (run / "pid").write_text(str(process.pid))
            yield process
        finally:
            if process is not None:
                _stop(process)


def _start(
    command: list[str], log: IO[bytes], environment: ServerEnvironment, more: dict[str, str]
) -> subprocess.Popen[bytes]:
    libraries = [str(environment.libraries), environment.libpython_folder]
    inherited = os.environ.get("LD_LIBRARY_PATH", "")
    variables = {
        **os.environ,
        **more,
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [*libraries, inherited])),
        # The stub takes the packages of the first python3 on PATH.
        "PATH": os.pathsep.join([str(environment.python.parent), os.environ.get("PATH", "")]),
    }
    # A session of its own: Ctrl-C reaches only us, and the group includes its Python stubs.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=variables,
        start_new_session=True,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
