"""The report's figures in Markdown."""

from __future__ import annotations

from statistics import median
from typing import Any

from loadtest.plots import TRANSPORTS, sweep
from loadtest.queue_limit import LIMITED, STEP

_RATIOS = {
    "ensemble_over_bare": (
        "the ensemble over a bare ONNX Runtime loop, shared memory",
        "at least 0.92",
    ),
    "ensemble_grpc_over_bare": ("the same over gRPC", "at least 0.88"),
    "network_over_bare": ("the network alone through Triton over that loop, shared memory", ""),
    "network_grpc_over_bare": ("the same over gRPC", ""),
    "sessions_over_bare": ("a bare session a core, side by side, over that loop", ""),
    "ensemble_over_sessions": ("the ensemble over a bare session a core, shared memory", ""),
    "one_camera_over_usual": (
        "one camera over the usual client, which sends one FP32 tensor at a time",
        "at least 1.5",
    ),
    "one_at_a_time_over_usual": ("the same with one frame at a time, shared memory", ""),
    "ensemble_grpc_over_client_side": (
        "the ensemble over letterbox and NMS in the client, gRPC, many in flight",
        "",
    ),
    "unbatched_over_ensemble": ("without dynamic batching over with it as shipped", ""),
    "joined_over_ensemble": ("with batches as the GPU profile forms them, over as shipped", ""),
}
"""What a ratio of frames per second is of, and where it should be."""

_SETTINGS = {
    "ensemble": "as shipped",
    "unbatched": "without dynamic batching",
    "joined": "batched as in the GPU profile",
}

_CAMERA_BAR_MS = 1


def table(figures: dict[str, Any]) -> str:
    """Say in Markdown what the figures of a `report.json` say; parts may be missing."""
    sections = {
        "capacity": capacity,
        "price": price,
        "perf_analyzer": perf_analyzer,
        "queue_limit": queue_limit,
    }
    texts = [write(figures[part]) for part, write in sections.items() if part in figures]
    return "\n".join([*texts, *map(_source, figures["sources"].items())])


def price(figures: dict[str, Any]) -> str:
    """What the ensemble costs and saves, and in which batches the network ran."""
    lines = [
        "| frames per second | ratio | quartiles | bar |",
        "| --- | ---: | ---: | ---: |",
    ]
    for key, (what, bar) in _RATIOS.items():
        if key in figures["ratios"]:
            ratio = figures["ratios"][key]
            apart = f"{ratio['low']:.2f} to {ratio['high']:.2f}"
            lines.append(f"| {what} | {ratio['median']:.2f} | {apart} | {bar} |")
    lines += ["", *_batches(figures["batch_sizes"])]
    return "\n".join([*lines, ""])


def perf_analyzer(figures: dict[str, Any]) -> str:
    """Throughput and latency against requests in flight."""
    lines = [
        "| perf_analyzer, requests in flight | frames/s | p50 | p99 |",
        "| --- | ---: | ---: | ---: |",
    ]
    for transport, points in sweep(figures["points"]).items():
        for point in points:
            latency, mark = point["latency_ms"], "" if point["stable"] else " (unstable)"
            lines.append(
                f"| {point['concurrency']}, {TRANSPORTS[transport]}{mark} "
                f"| {point['frames_per_s']:.1f} "
                f"| {latency['p50']:.0f} ms | {latency['p99']:.0f} ms |"
            )
    return "\n".join([*lines, ""])


def queue_limit(figures: dict[str, Any]) -> str:
    """What a queue limit does to a quick step."""
    rounds, in_flight = figures["turns"], figures["in_flight"]
    late = f"over {1000 * figures['stall_s']:.0f} ms"
    lines = [
        f"| `{STEP}` alone, {in_flight} requests in flight | requests/s | p99 | {late} |",
        "| --- | ---: | ---: | ---: |",
    ]
    for model, what in (
        (LIMITED, f"with `max_queue_size: {figures['limit']}`"),
        (STEP, "without, as shipped"),
    ):
        per_s, p99_ms = (
            median(one[model][key] for one in rounds) for key in ("requests_per_s", "p99_ms")
        )
        stalls, requests = (
            sum(one[model][key] for one in rounds) for key in ("stalls", "requests")
        )
        lines.append(f"| {what} | {per_s:.0f} | {p99_ms:.0f} ms | {stalls} of {requests:,} |")
    return "\n".join([*lines, ""])


def capacity(figures: dict[str, Any]) -> str:
    """How many cameras fit, and what became of too many."""
    if "sentence" not in figures:
        return "The search for the number of cameras was interrupted.\n"
    said = [f"**{figures['sentence']}.**"]
    if "overload" in figures:
        said.append(_overload(figures["overload"]))
    own_ms = figures["generator_cpu_ms_per_frame"]
    verdict = "met" if own_ms <= _CAMERA_BAR_MS else "missed"
    said.append(
        f"The cameras themselves took {own_ms:.1f} ms of processor time a frame "
        f"(bar: {_CAMERA_BAR_MS} ms, {verdict})."
    )
    return "\n".join([*said, ""])


def _overload(figures: dict[str, Any]) -> str:
    memory_mb = figures["server_memory_mb"]
    later_mb = memory_mb[len(memory_mb) // 2 :]
    frames = sum(figures["outcomes"].values())
    outcomes = ", ".join(f"{count / frames:.0%} {what}" for what, count in _most_first(figures))
    said = [
        f"Flooded by {figures['cameras']} cameras that do not wait for answers, for "
        f"{figures['seconds']:g} s: {outcomes}"
    ]
    if max(later_mb) > 0:
        said.append(
            f"the server's memory was {min(later_mb):.0f} to {max(later_mb):.0f} MB in the "
            "second half"
        )
    if figures["recovery_s"] is None:
        said.append("afterwards it did not recover while it was watched")
    else:
        said.append(
            f"{figures['recovery_s']:.1f} s afterwards every frame was answered within the bound "
            "again (bar: 2 s)"
        )
    return "; ".join(said) + "."


def _most_first(figures: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted(figures["outcomes"].items(), key=lambda one: -one[1])


def _batches(sizes: dict[str, dict[str, dict[str, int]]]) -> list[str]:
    """How many frames the network, the middle step of an ensemble, took at once."""
    told = []
    for scenario, setting in _SETTINGS.items():
        if scenario in sizes:
            _, network, _ = sizes[scenario].values()
            runs = sum(network.values())
            shares = ", ".join(f"{size} ({count / runs:.0%})" for size, count in network.items())
            told.append(f"{setting}: {shares}")
    return [f"Frames that the network took at once, {'; '.join(told)}."] if told else []


def _source(part: tuple[str, dict[str, Any]]) -> str:
    name, source = part
    machine = source["machine"]
    return (
        f"- [{name}.json](../loadtest/results/{name}.json): `{source['command']}` on "
        f"{machine['cores']} cores ({machine['processor']}), Triton {machine['triton']}, "
        f"commit {machine['commit']}{', interrupted' if source['partial'] else ''}"
    )
