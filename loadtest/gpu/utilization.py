"""How busy the GPU is while it is measured, as nvidia-smi tells it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from statistics import median

_QUERY = "utilization.gpu,clocks.sm,power.draw"
_NAMES = ("busy_percent", "clock_mhz", "power_w")
_EVERY_MS = 200


@contextlib.contextmanager
def sampled() -> Iterator[dict[str, float]]:
    """Watch the first GPU inside the block.

    Yields:
        Empty; after the block what `summary` returns, or nothing without nvidia-smi.
    """
    seen: dict[str, float] = {}
    command = ["nvidia-smi", "-i", "0", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.Popen(
            [*command, f"--loop-ms={_EVERY_MS}"], stdout=subprocess.PIPE, text=True
        )
    except OSError:
        yield seen
        return
    try:
        yield seen
    finally:
        process.terminate()
        # A few lines a second fit into the pipe.
        output, _ = process.communicate()
        seen |= summary(output)


def summary(output: str) -> dict[str, float]:
    """Medians of the busier half of the samples: before and after the load there is none.

    Returns:
        `busy_percent`, of the time in which any kernel ran; `clock_mhz`; `power_w`. Empty
        without a sample.
    """
    samples = []
    for line in output.splitlines():
        # The last line may be half a one, and a card may not tell its power.
        with contextlib.suppress(ValueError):
            values = [float(value) for value in line.split(",")]
            if len(values) == len(_NAMES):
                samples.append(values)
    busier = sorted(samples, reverse=True)[: (len(samples) + 1) // 2]
    return {
        name: median(values)
        for name, values in zip(_NAMES, zip(*busier, strict=True), strict=False)
    }
