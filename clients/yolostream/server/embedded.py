"""A real tritonserver from PyPI, as a child process: no Docker, no account, no GPU needed."""

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
    # Plans are loaded, kernels compiled.
    None: 600.0,
    "cpu": 120.0,
    # Kernels are chosen, compiled and recorded before the first frame.
    "onnx-gpu": 600.0,
    "torch-gpu": 1800.0,
}

_NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class EmbeddedTriton:
    """A server that is kept running."""

    launch: Launch
    profile: Profile | None
    """None for an installation of Triton that was told none."""
    shares_gpu: bool
    """Whether its processes use a GPU at the same time, through MPS, instead of one by one."""
    supervisor: Supervisor

    @property
    def ports(self) -> Ports:
        """Those that it listens on."""
        return self.launch.ports

    @property
    def log(self) -> Path:
        """Where it writes, before and after a restart."""
        return self.launch.log

    @property
    def url(self) -> str:
        """Address of gRPC, as a `Detector` takes it."""
        return self.launch.url

    @property
    def http_url(self) -> str:
        """`host:port`."""
        return f"{self.launch.http_host}:{self.ports.http}"

    @property
    def metrics_url(self) -> str:
        """With scheme and path, as Prometheus takes it."""
        return f"http://{self.launch.http_host}:{self.ports.metrics}/metrics"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """tritonserver; another one after a restart."""
        return self.supervisor.process

    def health(self) -> Health:
        """Whether its models answer."""
        return self.supervisor.health()

    def wait(self) -> None:
        """Wait until the server ends for good, which it does not do by itself.

        Raises:
            ServerUnavailable: it is dead or sick, and was to be started `once`.
        """
        self.supervisor.wait()


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
    stop_timeout_s: float = tritonserver.STOP_TIMEOUT_S,
    once: bool = False,
) -> Iterator[EmbeddedTriton]:
    """Serve a model repository until the block ends, and leave nothing behind.

    A server that dies, or one of whose steps dies, hangs or is paused, is started again on the same
    ports; see `Supervisor`. Frames of that time fail with `ServerUnavailable`.

    If a signal ends the process without an exception, the server ends too, but its folder in the
    temporary one stays until the next start. The command line turns SIGTERM and SIGHUP into
    exceptions; programs of your own should do the same.

    Args:
        model_repository: folder with one folder a model.
        environment: virtual environment with nvidia-pytriton (`yolostream install-server` makes
            it), or an installation of Triton, which has `bin/tritonserver`.
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
        stop_timeout_s: seconds that it may take in the end to finish what it has begun.
        once: do not start the server again; `EmbeddedTriton.wait` raises what happened.

    Raises:
        ModelUnavailable: a repository has no folder for one of `models`.
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
    # An installation has an MPS of its own, or none.
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
        # All GPUs are hidden, so that a full or broken one cannot get in the way.
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
