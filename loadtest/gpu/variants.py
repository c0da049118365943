"""Other settings for processes, queues, pools and contexts of the same ensemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yolostream.server.gpus import LARGE_COPIES

from loadtest.gpu.model_folders import NETWORK, NMS, PREPROCESS

_MB = 2**20

Edit = tuple[str, Callable[[Any], None]]
"""Name of a model, and what to do with its `ModelConfig`."""


@dataclass(frozen=True)
class Variant:
    """One setting.

    Attributes:
        words: What it is, for people.
        edits: Of the configurations.
        options: Further ones of tritonserver.
        variables: Of the server's environment.
        mps: Whether MPS runs, where it is there.
        awake: Whether no core sleeps meanwhile.
    """

    words: str
    edits: tuple[Edit, ...] = ()
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    mps: bool = True
    awake: bool = False


def instances(**counts: int) -> tuple[Edit, ...]:
    """So many processes of each step."""

    def edit(count: int) -> Callable[[Any], None]:
        def change(config: Any) -> None:
            config.instance_group[0].count = count

        return change

    return tuple((name, edit(count)) for name, count in counts.items())


def _processes(preprocess: int, network: int, nms: int) -> tuple[str, tuple[Edit, ...]]:
    """Words and edits for so many processes of each step."""
    words = f"processes of each step: {preprocess}, {network}, {nms}"
    return words, instances(**{PREPROCESS: preprocess, NETWORK: network, NMS: nms})


def batched(delay_us: int, preferred: Sequence[int] = ()) -> Edit:
    """The network waits so long for a batch, or until it has one of a preferred size."""

    def change(config: Any) -> None:
        batching = config.dynamic_batching
        batching.max_queue_delay_microseconds = delay_us
        batching.preferred_batch_size[:] = preferred

    return NETWORK, change


def with_parameter(parameter: str, value: str, *models: str) -> tuple[Edit, ...]:
    """These models have this value of a parameter."""

    def change(config: Any) -> None:
        config.parameters[parameter].string_value = value

    return tuple((name, change) for name in models)


def one_at_a_time(*models: str) -> tuple[Edit, ...]:
    """One of these models at a time; needs `--rate-limit=execution_count`."""

    def change(config: Any) -> None:
        limiter = config.instance_group[0].rate_limiter
        del limiter.resources[:]
        limiter.resources.add(name="gpu", count=1)

    return tuple((name, change) for name in models)


_LIMIT = "--rate-limit=execution_count"

VARIANTS: dict[str, Variant] = {
    "shipped": Variant("as shipped"),
    "no-mps": Variant("without MPS", mps=False),
    "awake": Variant("no core sleeps, `--keep-awake`", awake=True),
    "1-1-1": Variant(*_processes(1, 1, 1)),
    "1-2-1": Variant(*_processes(1, 2, 1)),
    "2-2-1": Variant(*_processes(2, 2, 1)),
    "4-2-1": Variant(*_processes(4, 2, 1)),
    "3-2-1": Variant(*_processes(3, 2, 1)),
    "3-1-1": Variant(*_processes(3, 1, 1)),
    "3-3-1": Variant(*_processes(3, 3, 1)),
    "3-2-2": Variant(*_processes(3, 2, 2)),
    "launch-16": Variant(
        "the network computes 16 frames at once",
        (batched(0, (16,)), *with_parameter("largest_launch", "16", NETWORK)),
    ),
    "launch-4": Variant(
        "the network computes 4 frames at once",
        (batched(0, (4,)), *with_parameter("largest_launch", "4", NETWORK)),
    ),
    "equal-priority": Variant(
        "the network gives way to no other step",
        with_parameter("CUDA_MPS_CLIENT_PRIORITY", "0", NETWORK),
    ),
    "whole-gpu": Variant(
        "every step may fill the whole GPU",
        with_parameter("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "100", PREPROCESS, NMS),
    ),
    "delay-500": Variant("it waits 0.5 ms for a batch", (batched(500, (4, 8)),)),
    "delay-2000": Variant("it waits 2 ms for a batch", (batched(2000, (8,)),)),
    "small-cuda-pool": Variant(
        "a CUDA pool of 64 MB", options=(f"--cuda-memory-pool-byte-size=0:{64 * _MB}",)
    ),
    "no-cuda-pool": Variant("no CUDA pool", options=("--cuda-memory-pool-byte-size=0:0",)),
    "pinned-pool": Variant(
        "a pinned pool of 1 GB", options=(f"--pinned-memory-pool-byte-size={1024 * _MB}",)
    ),
    "growing-region": Variant(
        "shared memory of the steps as Triton has it, 1 MB that grows",
        options=("--backend-config=python,shm-default-byte-size=1048576",),
    ),
    "cached-copies": Variant(
        "frames are copied as the C library has it", variables=dict.fromkeys(LARGE_COPIES, "")
    ),
    "one-at-a-time": Variant(
        "one step at a time, by the rate limiter",
        one_at_a_time(PREPROCESS, NETWORK, NMS),
        options=(_LIMIT, "--rate-limit-resource=gpu:1"),
    ),
    "shipped-again": Variant("as shipped, once more at the end"),
}
"""In the order in which they are measured."""
