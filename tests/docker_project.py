"""Runs the containers of the compose files from a copy of this repository."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from docker_engine import Engine
from needs import lacking

REPOSITORY = Path(__file__).parents[1]
DEADLINE_S = 300.0
_PORTS = ("HTTP_PORT", "GRPC_PORT", "METRICS_PORT", "PAGE_PORT")


COMPOSES = {"1": ("docker-compose",), "2": ("docker", "compose")}
"""Commands by the version of Compose."""
_NEEDED_BY = {"1": "REQUIRE_DOCKER_COMPOSE", "2": "REQUIRE_COMPOSE_PLUGIN"}


def compose(version: str) -> Sequence[str]:
    """The command of one version of Compose; skips the test if it is not installed."""
    command = COMPOSES[version]
    if not _runs(command):
        lacking(" ".join(command), variable=_NEEDED_BY[version])
    return command


def any_compose() -> Sequence[str]:
    """The command of the newest Compose that is installed; empty if none is."""
    return next((one for one in reversed(COMPOSES.values()) if _runs(one)), ())


def _runs(command: Sequence[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return not subprocess.run([*command, "version"], capture_output=True).returncode


@dataclass
class Project:
    """A project of Compose: the containers that it starts together."""

    engine: Engine
    compose: Sequence[str]
    clone: Path
    environ: dict[str, str]

    def command(self, *arguments: object) -> list[str]:
        return [*self.compose, *map(str, arguments)]

    def run(self, *arguments: object, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.clone,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=1200,
        )
        assert code in (None, done.returncode), f"{arguments}: {done.stderr[-3000:]}"
        return done

    def started(self, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.clone,
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def containers(self, service: str) -> list[str]:
        return self.run("ps", "--quiet", service).stdout.split()

    def container(self, service: str) -> str:
        (name,) = self.containers(service)
        return name

    def inspect(self, name: str) -> dict:
        (state,) = json.loads(self.engine.run("inspect", name))
        return state

    def is_healthy(self, name: str) -> bool:
        state = self.inspect(name)["State"]
        return state["Running"] and state["Health"]["Status"] == "healthy"

    def wait_until_healthy(self, *services: str) -> None:
        until(
            lambda: all(self.is_healthy(name) for one in services for name in self.containers(one)),
            what=f"{' and '.join(services)} to be healthy",
        )

    def execute(self, service: str, *command: object) -> str:
        """Run a command in the container of a service; return its stdout."""
        return self.engine.run("exec", self.container(service), *command)

    def get(self, path: str) -> bytes:
        """The response of the live page's server."""
        url = f"http://127.0.0.1:{self.environ['YOLOSTREAM_PAGE_PORT']}{path}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()

    def cameras(self) -> dict[str, dict]:
        return {one["name"]: one for one in json.loads(self.get("/api/v1/cameras"))}

    def wait_for_frames(self, count: int = 5) -> None:
        """Wait for `count` more frames of every camera; counters may restart at zero."""
        before: dict[str, int] = {}

        def have_frames() -> bool:
            with contextlib.suppress(OSError, ValueError):
                now = {name: one["frames_done"] for name, one in self.cameras().items()}
                for name, frames in now.items():
                    before[name] = min(frames, before.get(name, frames))
                return bool(now) and all(now[name] - before[name] >= count for name in now)
            return False

        until(have_frames, what="frames of every camera")


def until(condition, *, what: str, deadline_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for: {what}"
        time.sleep(0.2)


@contextlib.contextmanager
def clone() -> Iterator[Path]:
    """Copy the files that Git does not ignore, because containers write into the folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    # Not in /tmp: the engine may have a /tmp of its own.
    folder = Path("/var/tmp") / f"yolostream-clone-{secrets.token_hex(4)}"
    try:
        for name in filter(None, listed.stdout.split("\0")):
            if (REPOSITORY / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / name, folder / name)
        (folder / "output").mkdir()
        user, group = user_and_group()
        os.chown(folder / "output", user, group)
        yield folder
    finally:
        shutil.rmtree(folder)


def user_and_group() -> tuple[int, int]:
    """Ids of the user and the group of the containers; never root."""
    return (os.getuid(), os.getgid()) if os.getuid() else (1000, 1000)


@contextlib.contextmanager
def project(
    engine: Engine, compose: Sequence[str], clone: Path, *files: str, **variables: str
) -> Iterator[Project]:
    """Provide a project of these compose files; at the end, remove all of its parts.

    Its containers, networks and volumes must be gone then.
    """
    name = f"yolostream-test-{secrets.token_hex(4)}"
    ports = {f"YOLOSTREAM_{port}": str(_free_port()) for port in _PORTS}
    environ = {
        **engine.environ,
        **ports,
        "COMPOSE_PROJECT_NAME": name,
        "YOLOSTREAM_USER": ":".join(map(str, user_and_group())),
        # The legacy builder, which every engine includes.
        "DOCKER_BUILDKIT": "0",
        **variables,
    }
    command = [*compose, *(word for file in files for word in ("--file", file))]
    made = Project(engine, command, clone, environ)
    try:
        yield made
    finally:
        profiles = ("--profile", "live", "--profile", "balancer")
        made.run(*profiles, "down", "--volumes", "--remove-orphans", "--timeout", "5")
        for kind in (("ps", "--all"), ("network", "ls"), ("volume", "ls")):
            label = f"label=com.docker.compose.project={name}"
            assert engine.run(*kind, "--quiet", "--filter", label) == "", (
                f"{kind} of {name} is left"
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
