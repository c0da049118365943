"""Triton's statistics: where the server spent its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tritonclient.grpc import InferenceServerClient

from yolostream.client.triton_errors import translated


@dataclass(frozen=True)
class StepTotals:
    """Sums over all requests that one model has answered since it was loaded."""

    requests: int
    """Number of requests; a batch is one request."""
    queue_s: float
    """Seconds that requests waited for the model."""
    compute_s: float
    """Seconds that the model worked: reading inputs, inference, writing outputs."""

    def plus(self, other: StepTotals) -> StepTotals:
        """The sums over two servers."""
        return StepTotals(
            requests=self.requests + other.requests,
            queue_s=self.queue_s + other.queue_s,
            compute_s=self.compute_s + other.compute_s,
        )

    def since(self, earlier: StepTotals) -> StepTotals:
        """The difference to an `earlier` reading."""
        return StepTotals(
            requests=self.requests - earlier.requests,
            queue_s=self.queue_s - earlier.queue_s,
            compute_s=self.compute_s - earlier.compute_s,
        )


def total(of_servers: Sequence[dict[str, StepTotals]]) -> dict[str, StepTotals]:
    """The sums over several servers, by step."""
    first, *others = of_servers
    for other in others:
        first = {
            step: totals.plus(other[step]) if step in other else totals
            for step, totals in first.items()
        }
    return first


def read(
    client: InferenceServerClient, steps: tuple[str, ...], *, url: str, timeout_s: float
) -> dict[str, StepTotals]:
    """Read the statistics of each step of an ensemble.

    Args:
        client: the connection to the server.
        steps: names of the steps.
        url: the server's address, for messages.
        timeout_s: timeout in seconds of each call.

    Raises:
        ServerError: the server denies access to its statistics, or cannot be reached.
    """
    return {step: _read_step(client, step, url, timeout_s) for step in steps}


def _read_step(client: InferenceServerClient, step: str, url: str, timeout_s: float) -> StepTotals:
    with translated(url, step):
        versions = client.get_inference_statistics(step, client_timeout=timeout_s).model_stats
    stats = [version.inference_stats for version in versions]
    computes = [
        part for s in stats for part in (s.compute_input, s.compute_infer, s.compute_output)
    ]
    return StepTotals(
        requests=sum(s.success.count for s in stats),
        queue_s=sum(s.queue.ns for s in stats) / 1e9,
        compute_s=sum(part.ns for part in computes) / 1e9,
    )
