"""The process of tritonserver: its command line, its environment variables, start and stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Literal

from yolostream.server import die_with_parent
from yolostream.server.environment import ServerEnvironment
from yolostream.server.gpus import SERVER_MPS_SHARE, gpu_memory_options, gpu_numbers
from yolostream.server.installation import Installation
from yolostream.server.ports import Ports

Profile = Literal["cpu", "onnx-gpu", "cudnn-gpu", "torch-gpu"]

STOP_TIMEOUT_S = 6.0
"""Seconds for finishing the requests in flight. tritonserver limits itself to 5 s."""
_KILL_TIMEOUT_S = 5.0
"""Seconds to wait for a killed process. One that waits for its GPU may take longer."""

LOG = "server.log"
"""Name of the log file in the folder of a run."""


def command(
    run: Path,
    program: ServerEnvironment | Installation,
    profile: Profile | None,
    host: str,
    ports: Ports,
) -> list[str]:
    """The command line that starts a server, without its models.

    Args:
        run: folder of this run, in which the backend directory is made.
        program: the environment or installation that has the binary.
        profile: the models load `configs/PROFILE.pbtxt`; None for `config.pbtxt`.
        host: address to listen on.
        ports: ports to listen on, none of them 0.
    """
    return [
        *_binary_and_backends(run, program),
        *([] if profile is None else [f"--model-config-name={profile}"]),
        # Named after the run, so that leftovers of a crash in /dev/shm can be found.
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


def _binary_and_backends(run: Path, program: ServerEnvironment | Installation) -> list[str]:
    if isinstance(program, Installation):
        return [str(program.program)]
    backends = _assemble_backends(run / "backends", program)
    return [
        str(program.wheel / "bin" / "tritonserver"),
        f"--backend-directory={backends}",
    ]


def _assemble_backends(folder: Path, environment: ServerEnvironment) -> Path:
    """Make one backend directory from the two folders in the wheel."""
    python_backend = folder / "python"
    python_backend.mkdir(parents=True)
    stubs = environment.wheel / "python_backend_stubs" / environment.python_version
    for part in [*(environment.wheel / "backends" / "python").iterdir(), *stubs.iterdir()]:
        (python_backend / part.name).symlink_to(part)
    # The stub imports this module before every Python model.
    utilities = python_backend / "triton_python_backend_utils.py"
    parts = [utilities.read_text(), _callers_mps_share()]
    if environment.numpy_major >= 2:
        parts.append(Path(__file__).with_name("numpy2_tensors.py").read_text())
    utilities.unlink()
    utilities.write_text("\n".join(parts))
    return folder


def _callers_mps_share() -> str:
    """Python code that restores the caller's MPS percentage in a model's process."""
    given = {name: os.environ[name] for name in SERVER_MPS_SHARE if name in os.environ}
    return (
        "import os\n"
        f"for name in {list(SERVER_MPS_SHARE)}:\n"
        "    os.environ.pop(name, None)\n"
        f"os.environ.update({given})\n"
    )


def variables(program: ServerEnvironment | Installation) -> dict[str, str]:
    """Environment variables with the paths of the server's libraries and its steps' packages."""
    if isinstance(program, Installation):
        return {}
    libraries = [str(program.libraries), program.libpython_folder]
    inherited = os.environ.get("LD_LIBRARY_PATH", "")
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [*libraries, inherited])),
        # The stub uses the packages of the first python3 on PATH.
        "PATH": os.pathsep.join([str(program.python.parent), os.environ.get("PATH", "")]),
    }


def start(command: Sequence[str], run: Path, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a server, which Linux kills when the calling thread ends.

    The server's Python stubs end by themselves soon afterwards.

    Args:
        command: see `command`.
        run: folder of this run. The server appends to the log there, and its process id is written
            there.
        more: environment variables, in addition to those of this process.
    """
    with (run / LOG).open("ab") as log:
        process = subprocess.Popen(
            # Isolated mode: only modules of the standard library can be imported.
            [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **more},
            # Ctrl-C then reaches only this process, and the stubs can be killed as a group.
            start_new_session=True,
        )
    (run / "pid").write_text(str(process.pid))
    return process


def stop(process: subprocess.Popen[bytes], *, patience_s: float) -> None:
    """Stop a server and its Python stubs, also paused ones.

    Args:
        process: the process of the server.
        patience_s: seconds in which it may finish the requests in flight; 0 kills it at once.
    """
    if patience_s:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(_KILL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        # The driver of a lost GPU may hold the process for longer. It is reaped when it ends.
        Thread(target=process.wait, daemon=True).start()
    _reap_group(process.pid)


def _reap_group(group: int) -> None:
    """Reap stubs that became children of this process, as happens to PID 1 of a container."""
    deadline = time.monotonic() + _KILL_TIMEOUT_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-group, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
