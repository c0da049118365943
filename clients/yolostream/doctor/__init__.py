"""Checks the user's setup before anything is started."""

from __future__ import annotations

from pathlib import Path

from yolostream.doctor import lease_store, machine, pod
from yolostream.doctor.check import Check, Verdict, bad
from yolostream.doctor.containers import containers
from yolostream.doctor.deepstream.folder import check_deepstream
from yolostream.doctor.gpu import gpu_profiles

__all__ = ["Check", "Verdict", "examine"]


def examine(
    model_repository: Path,
    server_environment: Path,
    deepstream: Path | None,
    *,
    leases: str | None = None,
) -> list[Check]:
    """Run all checks. They start, change and download nothing.

    Args:
        model_repository: folder of models for Triton.
        server_environment: Python environment of the embedded Triton.
        deepstream: folder of DeepStream configurations; None for a wheel, which has none.
        leases: `kubernetes:NAME` or a folder, as for `yolostream run --leases`; None without.

    Raises:
        PackageMissing: the packages that `leases` needs are not installed.
    """
    return [
        machine.client(),
        machine.server_environment(server_environment),
        machine.ports(),
        machine.shared_memory(),
        *machine.gpus(),
        *gpu_profiles(server_environment),
        machine.plan(model_repository),
        *containers(),
        *pod.leases(),
        *([] if leases is None else [lease_store.check(leases)]),
        *_deepstream(deepstream, model_repository),
    ]


def _deepstream(folder: Path | None, model_repository: Path) -> list[Check]:
    part = "DeepStream files"
    if folder is None:
        return [Check(part, Verdict.note, "not in the wheel", "take them from the repository")]
    problems = check_deepstream(folder, model_repository)
    good = Check(part, Verdict.good, f"no problems in {folder}")
    return [bad(problem) for problem in problems] or [good]
