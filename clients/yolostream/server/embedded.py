"""A real tritonserver from PyPI, as a child process: no Docker, no account, no GPU needed."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolostream.errors import ModelUnavailable, ServerStartError
from yolostream.server import cores, mps, tritonserver
from yolostream.server.access import LOOPBACK as LOOPBACK
from yolostream.server.access import Access
from yolostream.server.environment import ServerEnvironment
from yolostream.server.gpus import gpu_numbers, server_variables
from yolostream.server.ports import Ports as Ports
from yolostream.server.ports import free_ports
from yolostream.server.readiness import ended, wait_until_ready
from yolostream.server.run_folder import (
    GRPC_PORT_FILE,
    MPS_FOLDER,
    remove_leftovers,
    run_folder,
)
from yolostream.server.tritonserver import Profile as Profile

START_TIMEOUT_S: dict[Profile, float] = {
    "cpu": 120.0,
    # Kernels are chosen, compiled and recorded before the first frame.
    "onnx-gpu": 600.0,
    "torch-gpu": 1800.0,
}

_NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class EmbeddedTriton:
    """A running server."""

    host: str
    ports: Ports
    profile: Profile
    shares_gpu: bool
    """Whether its processes use a GPU at the same time, through MPS, instead of one by one."""
    process: subprocess.Popen[bytes]
    log: Path
    access: Access

    @property
    def url(self) -> str:
        """Address of gRPC, as a `Detector` takes it."""
        return f"{self.host}:{self.ports.grpc}"

    @property
    def http_url(self) -> str:
        """`host:port`."""
        return f"{self.access.http_host(self.host)}:{self.ports.http}"

    @property
    def metrics_url(self) -> str:
        """With scheme and path, as Prometheus takes it."""
        return f"http://{self.access.http_host(self.host)}:{self.ports.metrics}/metrics"

    def wait(self) -> None:
        """Wait until the server ends, which it does not do by itself.

        Raises:
            ServerStartError: it ended; the message ends with the last lines of its log.
        """
        self.process.wait()
        raise ended(self.process, self.log)


def choose_profile(environment: ServerEnvironment) -> Profile:
    """The fastest that a GPU and the server's environment allow, else `cpu`."""
    if not gpu_numbers():
        return "cpu"
    if environment.has_torch:
        return "torch-gpu"
    return "onnx-gpu" if environment.has_onnxruntime_gpu else "cpu"


@contextlib.contextmanager
def serve(
    model_repository: Path,
    *,
    environment: Path,
    more_repositories: Sequence[Path] = (),
    models: Sequence[str] = (),
    profile: Profile | None = None,
    host: str = LOOPBACK,
    ports: Ports = Ports(),  # noqa: B008  # frozen
    share_gpu: bool = True,
    keep_awake: bool = False,
    access: Access = Access(),  # noqa: B008  # frozen
    options: Sequence[str] = (),
    start_timeout_s: float | None = None,
) -> Iterator[EmbeddedTriton]:
    """Serve a model repository until the block ends, and leave nothing behind.

    If a signal ends the process without an exception, nothing is cleaned up. The command line
    turns SIGTERM and SIGHUP into exceptions; programs of your own should do the same.

    Args:
        model_repository: folder with one folder a model.
        environment: virtual environment with nvidia-pytriton (`make install` makes it).
        more_repositories: further such folders, served beside the first.
        models: names of those to load, an ensemble with all its steps; by default every model.
        profile: which `configs/PROFILE.pbtxt` the models load; by default what the machine allows.
        host: address to listen on; anything but loopback lets others in; see `access`.
        ports: fixed ports, or 0 for free ones.
        share_gpu: let the processes of the GPU profiles use a GPU at the same time, where NVIDIA's
            MPS is installed; otherwise they use it one after another.
        keep_awake: keep the cores from sleeping while the server runs, see `cores.busy_poll_cores`.
        access: who may use it.
        options: more of tritonserver's own, after ours; the last of a kind counts.
        start_timeout_s: seconds until every model has to be ready; by default what the profile
            needs.

    Raises:
        ModelUnavailable: a repository has no folder for one of `models`.
        ServerStartError: something is missing, a port is taken, or a model does not load; the
            message ends with the last lines of the server's log.
    """
    checked = ServerEnvironment.check(environment)
    repositories = [model_repository, *more_repositories]
    _check_repositories(repositories, models)
    remove_leftovers()
    chosen = profile or choose_profile(checked)
    patience_s = START_TIMEOUT_S[chosen] if start_timeout_s is None else start_timeout_s
    with run_folder() as run, _sharing_gpu(run, wanted=share_gpu and chosen != "cpu") as shared:
        taken = free_ports(ports, host)
        (run / GRPC_PORT_FILE).write_text(str(taken.grpc))
        with tritonserver.running(
            [
                *tritonserver.command(run, checked, chosen, host, taken),
                *(f"--model-repository={folder.resolve()}" for folder in repositories),
                *(_load_only(models) if models else []),
                *access.options,
                *options,
            ],
            run,
            checked,
            # The CPU profile hides all GPUs, so that a full or broken one cannot get in the way.
            _NO_GPU if chosen == "cpu" else {**server_variables(), **(shared or {})},
        ) as process:
            log, shares_gpu = run / tritonserver.LOG, shared is not None
            server = EmbeddedTriton(host, taken, chosen, shares_gpu, process, log, access)
            wait_until_ready(process, http_url=server.http_url, log=log, timeout_s=patience_s)
            with cores.busy_poll_cores() if keep_awake else contextlib.nullcontext():
                yield server


def _sharing_gpu(
    run: Path, *, wanted: bool
) -> contextlib.AbstractContextManager[dict[str, str] | None]:
    return mps.running(run / MPS_FOLDER) if wanted else contextlib.nullcontext()


def _check_repositories(repositories: Sequence[Path], models: Sequence[str]) -> None:
    for folder in repositories:
        if not folder.is_dir():
            raise ServerStartError(f"no model repository at {folder}")
    there = {
        config.parent.name for folder in repositories for config in folder.glob("*/config.pbtxt")
    }
    if missing := set(models) - there:
        ensembles = ", ".join(sorted(there))
        raise ModelUnavailable(
            f"no model '{min(missing)}' in {repositories[0]}, only {ensembles}: install it with "
            "tools.install_model"
        )


def _load_only(models: Sequence[str]) -> list[str]:
    return ["--model-control-mode=explicit", *(f"--load-model={name}" for name in models)]
