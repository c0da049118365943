"""The figures in Markdown."""

from __future__ import annotations

from typing import Any

from loadtest.gpu.model_folders import NETWORK
from loadtest.gpu.profiles import PROFILES
from loadtest.gpu.rows import POINTS, Bar, Figures
from loadtest.gpu.thresholds import CHECKS, Check, best, values
from loadtest.gpu.watch import frames_of


def section(content: dict[str, Any], *, path: str) -> str:
    """What the README says of a run.

    Args:
        content: Of the file that `loadtest.gpu` wrote.
        path: Of that file, for a link.
    """
    return f"{verdicts(content['figures']['profiles'])}\n\n{caption(content, path=path)}\n"


def verdicts(profiles: dict[str, Figures]) -> str:
    """A line a bar, a column a profile that runs; a bar binds only where there is a GPU.

    Args:
        profiles: Figures of each profile of one run, by name.
    """
    profiles = {name: figures for name, figures in profiles.items() if "bare" in figures}
    columns = {name: values(figures) for name, figures in profiles.items()}
    lines = [
        f"| | bar | {' | '.join(f'`{name}`' for name in columns)} |",
        f"| --- | ---: |{' ---: |' * len(columns)}",
    ]
    for key, check in CHECKS.items():
        if any(check.row in figures.get("rows", {}) for figures in profiles.values()):
            cells = [
                _cell(check.bar, column.get(key), binds=_binds(check, name, profiles))
                # What was tried and failed is not left out.
                if key in column or check.row not in profiles[name].get("rows", {})
                else "**failed**"
                for name, column in columns.items()
            ]
            lines.append(f"| {check.title} | {check.bar} | {' | '.join(cells)} |")
    rates = [f"{best(figures):,.0f} frames/s" for figures in profiles.values()]
    lines.append(f"| the bare engine at its best batch | | {' | '.join(rates)} |")
    ones = [f"{figures['bare']['1']['p50_ms']:.2f} ms" for figures in profiles.values()]
    lines.append(f"| its time for one frame | | {' | '.join(ones)} |")
    return "\n".join(lines)


def _binds(check: Check, name: str, profiles: dict[str, Figures]) -> bool:
    """Whether the bar is for this one of the profiles."""
    asked = {
        "all": True,
        "the fastest profile": best(profiles[name]) == max(map(best, profiles.values())),
        "profiles without PyTorch": PROFILES[name].runtime != "torch",
    }
    return PROFILES[name].on_gpu and asked[check.asked_of]


def _cell(bar: Bar, value: float | None, *, binds: bool) -> str:
    if value is None:
        return ""
    if not binds:
        return bar.said(value)
    return f"{bar.said(value)}, met" if bar.met(value) else f"**{bar.said(value)}, missed**"


def times(profiles: dict[str, Figures]) -> str:
    """Where a request's time goes, by row and step, as perf_analyzer had it from Triton.

    Args:
        profiles: Figures of each profile, by name; what was not measured is left out.
    """
    lines = [
        "| ms of a request: waiting + working | p50 | preprocess | network | nms | its batch |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, figures in profiles.items():
        for row in POINTS:
            measured = figures.get("rows", {}).get(row, {})
            # One that ended too soon has no figures of its steps.
            if measured.get("stages"):
                lines.append(f"| `{name}`, {row} | {' | '.join(_times(measured))} |")
    return "\n".join([*lines, ""])


def _times(measured: dict[str, Any]) -> list[str]:
    steps = measured["stages"]
    sizes = measured["watched"]["batch_sizes"]
    return [
        f"{measured['latency_ms']['p50']:.1f}",
        *(_step(steps.get(name)) for name in sizes),
        _mean_size(sizes[NETWORK]),
    ]


def _step(step: dict[str, float] | None) -> str:
    if step is None:
        return ""
    works = sum(value for part, value in step.items() if part != "queue")
    return f"{step['queue']:.1f} + {works:.1f}"


def _mean_size(counts: dict[str, int]) -> str:
    """Mean batch, each run counted once; empty where the network never ran."""
    runs = sum(counts.values())
    return f"{frames_of(counts) / runs:.1f}" if runs else ""


def caption(content: dict[str, Any], *, path: str) -> str:
    """On what, with what, by which command.

    Args:
        content: Of the file that `loadtest.gpu` or one of its modules wrote.
        path: Of that file, for a link.
    """
    machine, figures = content["machine"], content["figures"]
    gpu = figures["gpu"]
    network = figures["network"]
    cards = ", ".join(f"{name} (driver {driver})" for name, driver in gpu["gpus"]) or "no GPU"
    packages = ", ".join(f"{name} {version}" for name, version in gpu["server_packages"].items())
    cuda = f"CUDA {gpu['cuda']}, " if gpu["cuda"] else ""
    return (
        f"One run of `{content['command']}` on {cards}, {cuda}{machine['cores']} cores "
        f"({machine['processor']}), {packages}; {network['words']}"
        f"{'; interrupted' if content['partial'] else ''}. Raw figures: "
        f"[{path.rpartition('/')[2]}]({path})."
    )
