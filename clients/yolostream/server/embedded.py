"""Runs the tritonserver from PyPI as a child process, without Docker; a GPU is optional."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolostream.server import cores, mps, tritonserver
from yolostream.server.access import LOOPBACK as LOOPBACK
from yolostream.server.access import Access
from yolostream.server.environment import ServerEnvironment
from yolostream.server.gpus import gpu_numbers, large_copies, server_variables
from yolostream.server.health import Health
from yolostream.server.installation import Installation
from yolostream.server.launch import Launch
from yolostream.server.ports import Ports as Ports
from yolostream.server.ports import free_ports
from yolostream.server.repositories import check_repositories, ensembles_in
from yolostream.server.run_folder import (
    GRPC_PORT_FILE,
    MPS_FOLDER,
    remove_leftovers,
    run_folder,
)
from yolostream.server.supervisor import Supervisor, supervised
from yolostream.server.tritonserver import Profile as Profile

START_TIMEOUT_S: dict[Profile | None, float] = {
    # TensorRT plans are loaded and kernels are compiled.
    None: 600.0,
    "cpu": 120.0,
    # Kernels are tuned, compiled and captured before the first frame.
    "onnx-gpu": 600.0,
    "cudnn-gpu": 600.0,
    "torch-gpu": 1800.0,
}

_NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class EmbeddedTriton:
    """A server that is restarted when it fails."""

    launch: Launch
    profile: Profile | None
    """None for an installation of Triton that was started without a profile."""
    shares_gpu: bool
    """Whether its processes use a GPU at the same time, through MPS, instead of in turns."""
    supervisor: Supervisor

    @property
    def ports(self) -> Ports:
        """The ports that it listens on."""
        return self.launch.ports

    @property
    def log(self) -> Path:
        """Its log file, which a restart appends to."""
        return self.launch.log

    @property
    def url(self) -> str:
        """Address of gRPC, `host:port`, for a `Detector`."""
        return self.launch.url

    @property
    def http_url(self) -> str:
        """Address of HTTP, `host:port`."""
        return f"{self.launch.http_host}:{self.ports.http}"

    @property
    def metrics_url(self) -> str:
        """URL of the metrics for Prometheus."""
        return f"http://{self.launch.http_host}:{self.ports.metrics}/metrics"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of tritonserver; another one after a restart."""
        return self.supervisor.process

    def health(self) -> Health:
        """Whether its models answer."""
        return self.supervisor.health()

    def wait(self) -> None:
        """Wait until the server ends and is not restarted.

        Raises:
            ServerUnavailable: the server died or failed, and `serve` was called with `once`.
        """
        self.supervisor.wait()


def choose_profile(environment: ServerEnvironment) -> Profile:
    """The profile for this machine and the server's environment, if none is named.

    `cudnn-gpu` has to be named, because it was run on few kinds of GPU.
    """
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
    stop_timeout_s: float = tritonserver.STOP_TIMEOUT_S,
    once: bool = False,
) -> Iterator[EmbeddedTriton]:
    """Serve a model repository until the block ends, then remove all temporary files.

    If the server dies, or one of its steps dies, hangs or is paused, the server is restarted on the
    same ports; see `Supervisor`. Frames fail with `ServerUnavailable` meanwhile.

    If a signal ends this process without an exception, the server ends too, but its temporary
    folder stays until the next start. The command line turns SIGTERM and SIGHUP into exceptions;
    other programs should do the same.

    Args:
        model_repository: folder with one folder per model.
        environment: virtual environment with nvidia-pytriton (`yolostream install-server` makes
            it), or an installation of Triton, which has `bin/tritonserver`.
        more_repositories: further model repositories, served together with the first.
        models: names of the models to load; an ensemble is loaded with its steps. By default all.
        profile: the models load `configs/PROFILE.pbtxt`; by default the one that
            `choose_profile` chooses.
        host: address to listen on. With any address but loopback, other machines can connect; see
            `access`.
        ports: fixed ports, or 0 for free ones.
        share_gpu: let the processes of the GPU profiles use a GPU at the same time, if NVIDIA's MPS
            is installed; otherwise they use it in turns.
        keep_awake: keep the cores from sleeping while the server runs; see
            `cores.busy_poll_cores`.
        access: token and TLS files.
        options: further options for tritonserver. They override those of this function.
        start_timeout_s: seconds until every model has to be ready; by default, `START_TIMEOUT_S` of
            the profile.
        stop_timeout_s: seconds that the server has at the end to finish requests in flight.
        once: do not restart the server; `EmbeddedTriton.wait` raises the error.

    Yields:
        The server, with all models ready.

    Raises:
        ModelUnavailable: no repository has a folder for one of `models`.
        ServerStartError: something is missing, a port is taken, or a model does not load; the
            message ends with the last lines of the server's log.
    """
    program = Installation.at(environment) or ServerEnvironment.check(environment)
    repositories = [model_repository, *more_repositories]
    check_repositories(repositories, models)
    remove_leftovers()
    chosen = profile
    if chosen is None and isinstance(program, ServerEnvironment):
        chosen = choose_profile(program)
    # MPS for an installation is set up outside of this package, if at all.
    may_share = share_gpu and chosen != "cpu" and isinstance(program, ServerEnvironment)
    with run_folder() as run, _sharing_gpu(run, wanted=may_share) as shared:
        taken = free_ports(ports, host)
        (run / GRPC_PORT_FILE).write_text(str(taken.grpc))
        launch = Launch(
            command=[
                *tritonserver.command(run, program, chosen, host, taken),
                *(f"--model-repository={folder.resolve()}" for folder in repositories),
                *(_load_only(models) if models else []),
                *access.options,
                *options,
            ],
            variables={**tritonserver.variables(program), **_gpu_variables(chosen, shared)},
            run=run,
            host=host,
            ports=taken,
            access=access,
            ensembles=[name for name in ensembles_in(repositories) if not models or name in models],
            start_timeout_s=START_TIMEOUT_S[chosen] if start_timeout_s is None else start_timeout_s,
            stop_timeout_s=stop_timeout_s,
        )
        with (
            supervised(launch, once=once) as supervisor,
            cores.busy_poll_cores() if keep_awake else contextlib.nullcontext(),
        ):
            yield EmbeddedTriton(launch, chosen, shared is not None, supervisor)


def _gpu_variables(profile: Profile | None, shared: dict[str, str] | None) -> dict[str, str]:
    if profile == "cpu":
        # All GPUs are hidden, so that a full or broken one cannot make the start fail.
        return _NO_GPU
    if profile is None:
        return large_copies()
    return {**server_variables(), **(shared or {})}


def _sharing_gpu(
    run: Path, *, wanted: bool
) -> contextlib.AbstractContextManager[dict[str, str] | None]:
    return mps.running(run / MPS_FOLDER) if wanted else contextlib.nullcontext()


def _load_only(models: Sequence[str]) -> list[str]:
    return ["--model-control-mode=explicit", *(f"--load-model={name}" for name in models)]
