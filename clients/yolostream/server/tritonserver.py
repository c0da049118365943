"""The process of the tritonserver from PyPI: its command line, its environment, its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from yolostream.server import die_with_parent
from yolostream.server.environment import ServerEnvironment
from yolostream.server.gpus import SERVER_MPS_SHARE, gpu_memory_options, gpu_numbers
from yolostream.server.installation import Installation
from yolostream.server.ports import Ports

Profile = Literal["cpu", "onnx-gpu", "torch-gpu"]

STOP_TIMEOUT_S = 6.0
"""For what a server that is well has begun; it takes five seconds at most by itself."""
_KILL_TIMEOUT_S = 5.0
"""A process that waits for its GPU may take longer: nobody waits for that."""

LOG = "server.log"
"""In the folder of a run."""


def command(
    run: Path,
    program: ServerEnvironment | Installation,
    profile: Profile | None,
    host: str,
    ports: Ports,
) -> list[str]:
    """The command line that starts a server, without its models.

    Args:
        run: Folder of this run; the backends are put together there.
        program: Has the binary.
        profile: Which `configs/PROFILE.pbtxt` the models load; None for `config.pbtxt`.
        host: Address to listen on.
        ports: Ports to listen on, none of them 0.
    """
    return [
        *_binary_and_backends(run, program),
        *([] if profile is None else [f"--model-config-name={profile}"]),
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


def _binary_and_backends(run: Path, program: ServerEnvironment | Installation) -> list[str]:
    if isinstance(program, Installation):
        return [str(program.program)]
    backends = _assemble_backends(run / "backends", program)
    return [
        str(program.wheel / "bin" / "tritonserver"),
        f"--backend-directory={backends}",
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


def variables(program: ServerEnvironment | Installation) -> dict[str, str]:
    """Environment variables that show a server its libraries, and its steps their packages."""
    if isinstance(program, Installation):
        return {}
    libraries = [str(program.libraries), program.libpython_folder]
    inherited = os.environ.get("LD_LIBRARY_PATH", "")
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [*libraries, inherited])),
        # The stub takes the packages of the first python3 on PATH.
        "PATH": os.pathsep.join([str(program.python.parent), os.environ.get("PATH", "")]),
    }


def start(command: Sequence[str], run: Path, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a server, which the system ends together with the thread that calls this.

    Its Python stubs end by themselves soon after it.

    Args:
        command: See `command`.
        run: Folder of this run, for its log, which goes on after an earlier server's, and the
            number of its process.
        more: Environment variables beside ours.
    """
    with (run / LOG).open("ab") as log:
        process = subprocess.Popen(
            # In a mode that looks for no modules but Python's own.
            [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **more},
            # Ctrl-C reaches only us, and the group includes its Python stubs.
            start_new_session=True,
        )
    (run / "pid").write_text(str(process.pid))
    return process


def stop(process: subprocess.Popen[bytes], *, patience_s: float) -> None:
    """End a server and its Python stubs.

    Args:
        process: The server.
        patience_s: Seconds in which it may finish what it has begun; 0 ends it at once. Paused
            processes end too.
    """
    if patience_s:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILL_TIMEOUT_S)
    _reap_group(process.pid)


def _reap_group(group: int) -> None:
    """Take leave of stubs that have become our children: a container's first process gets them."""
    deadline = time.monotonic() + _KILL_TIMEOUT_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-group, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
