"""Checks Docker, Compose, the NVIDIA Container Toolkit, and the disk space for images."""

from __future__ import annotations

import json
import shutil
from typing import Any

from yolostream.doctor.check import Check, Verdict, run_command

IMAGES_GB = 3
"""Unpacked, roughly: those without a GPU, and what is there while they are built."""

GPU_IMAGES_GB = 40
"""The same on a GPU: half for Triton and what builds its plan, half for DeepStream."""

ROOT = "/var/lib/docker"
"""Docker's default folder of images."""


def containers() -> list[Check]:
    """Check Docker. Problems are only notes, because the embedded Triton does not need it."""
    docker = shutil.which("docker")
    if docker is None:
        fix = "install Docker Engine; only the containers need it"
        return [Check("Docker", Verdict.note, "not installed", fix)]
    info, failure = _info(docker)
    if failure:
        fix = "start Docker, and be in the group 'docker'; only the containers need it"
        return [Check("Docker", Verdict.note, failure, fix)]
    docker_is_there = Check("Docker", Verdict.good, f"engine {info['ServerVersion']}")
    return [docker_is_there, _compose(info), _toolkit(info), _room(info)]


def _info(docker: str) -> tuple[dict[str, Any], str]:
    """The output of `docker info`, or the error."""
    text, failure = run_command([docker, "info", "--format", "{{json .}}"])
    if failure:
        return {}, failure
    try:
        info = json.loads(text)
    except ValueError:
        info = None
    if not isinstance(info, dict):
        return {}, "'docker info' prints no JSON object"
    # Docker 20.10 ends with code 0 where its daemon does not answer.
    if errors := info.get("ServerErrors"):
        return {}, "; ".join(map(str, errors))
    if not info.get("ServerVersion"):
        # As podman does under the name of docker.
        return {}, "'docker info' does not report a Docker Engine"
    return info, ""


def _compose(info: dict[str, Any]) -> Check:
    for plugin in (info.get("ClientInfo") or {}).get("Plugins") or ():
        if plugin.get("Name") == "compose":
            return Check("Compose", Verdict.good, plugin.get("Version") or "of no known version")
    if shutil.which("docker-compose"):
        fix = "make up COMPOSE=docker-compose; 1.29 is the oldest that reads our files"
        return Check("Compose", Verdict.note, "docker-compose, without the plugin", fix)
    return Check("Compose", Verdict.note, "not installed", "install the package of its plugin")


def _toolkit(info: dict[str, Any]) -> Check:
    part = "Container Toolkit"
    if _knows_gpus(info):
        return Check(part, Verdict.good, "Docker knows the runtime 'nvidia'")
    fix = (
        "install the NVIDIA Container Toolkit and run 'nvidia-ctk runtime configure'; CPU: no need"
    )
    return Check(part, Verdict.note, "Docker knows no runtime 'nvidia'", fix)


def _knows_gpus(info: dict[str, Any]) -> bool:
    return "nvidia" in (info.get("Runtimes") or {})


def _room(info: dict[str, Any]) -> Check:
    part, folder = "room for images", info.get("DockerRootDir") or ROOT
    try:
        free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return Check(part, Verdict.note, f"{folder} cannot be seen from here: {error.strerror}")
    found = f"{free_gb:.0f} GB free in {folder}"
    needed_gb = GPU_IMAGES_GB if _knows_gpus(info) else IMAGES_GB
    if free_gb >= needed_gb:
        return Check(part, Verdict.good, found)
    less = ", half of them without DeepStream" if _knows_gpus(info) else ""
    fix = f"about {needed_gb} GB are needed{less}: 'docker system prune'"
    return Check(part, Verdict.note, found, fix)
