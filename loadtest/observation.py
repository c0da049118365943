"""What the server says of a scenario while it runs."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc import InferenceServerClient
from yolostream.client import statistics
from yolostream.client.triton_errors import translated

from loadtest.scenarios import Scenario, measure, running

_TIMEOUT_S = 10.0


def observe(
    scenario: Scenario, seconds: float, client: InferenceServerClient, url: str
) -> dict[str, Any]:
    """Run a scenario, and divide a frame's time by what Triton's statistics say.

    Args:
        scenario: Nobody else uses the models that it passes.
        seconds: To measure.
        client: Connected to `url`.
        url: For error messages.

    Returns:
        `frames_per_s`; `latency_ms`, the mean; `parts_ms`, what it is made of: the client, each
        model, waiting for one (`queues`), and the rest, messages and hand-overs (`between`); and
        `batch_sizes`, how often a model has run on a batch of which size.

    Raises:
        ServerError: The server fails, or is away.
    """

    def totals() -> dict[str, statistics.StepTotals]:
        return statistics.read(client, scenario.models, url=url, timeout_s=_TIMEOUT_S)

    def batches() -> dict[str, dict[int, int]]:
        return {model: batches_of(client, model, url) for model in scenario.models}

    with running(scenario) as run:
        totals_before, batches_before = totals(), batches()
        throughput = measure(run, seconds)
        totals_after, batches_after = totals(), batches()
    passed = {model: now.since(totals_before[model]) for model, now in totals_after.items()}
    parts = {"client": throughput.client_ms}
    for model, total in passed.items():
        parts[model] = _per_frame_ms(total.compute_s, total)
    parts["queues"] = sum(_per_frame_ms(total.queue_s, total) for total in passed.values())
    parts["between"] = throughput.latency_ms - sum(parts.values())
    return {
        "frames_per_s": round(throughput.frames_per_s, 2),
        "latency_ms": round(throughput.latency_ms, 2),
        "parts_ms": {name: round(value, 2) for name, value in parts.items()} if passed else {},
        "batch_sizes": {
            model: since(now, batches_before[model]) for model, now in batches_after.items()
        },
    }


def _per_frame_ms(seconds: float, total: statistics.StepTotals) -> float:
    # In a very short time no frame may have passed.
    return 1000 * seconds / max(1, total.requests)


def batches_of(client: InferenceServerClient, model: str, url: str) -> dict[int, int]:
    """How often a model has run on a batch of which size since it was loaded.

    Raises:
        ServerError: The server does not tell, or is away.
    """
    with translated(url, model):
        (stats,) = client.get_inference_statistics(model, client_timeout=_TIMEOUT_S).model_stats
    return {batch.batch_size: batch.compute_infer.count for batch in stats.batch_stats}


def since(now: dict[int, int], before: dict[int, int]) -> dict[str, int]:
    """What came after `before`, smallest size first; JSON has no keys but text."""
    between = {size: count - before.get(size, 0) for size, count in sorted(now.items())}
    return {str(size): count for size, count in between.items() if count}
