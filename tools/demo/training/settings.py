"""The settings and data of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.demo.training.gallery import Gallery
from tools.demo.training.pictures import Picture


@dataclass(frozen=True)
class Settings:
    """The settings of a training.

    Attributes:
        minutes: Length of the training; the learning rate follows the clock.
        batch: Pictures per step.
        rate: Peak learning rate of AdamW.
        decay: Weight decay.
        output: Checkpoint to write at the end, of the averaged weights.
        compiled: Use `torch.compile`.
        log_every_s: Seconds between lines of the log.
        save_every_s: Seconds between intermediate checkpoints, which have their second in the name.
        watch_every_s: Seconds between evaluations.
        receive_every_s: Seconds between looks for new pictures.
    """

    minutes: float
    batch: int
    rate: float
    decay: float
    output: Path
    compiled: bool = False
    log_every_s: float = 5.0
    save_every_s: float = 60.0
    watch_every_s: float = 120.0
    receive_every_s: float = 8.0


@dataclass(frozen=True)
class Data:
    """The data of a training.

    Attributes:
        training: Pictures to train on, and room for those that arrive.
        arriving: Returns the pictures that have become ready since the last call, without waiting.
        watched: Galleries to evaluate on, by name.
    """

    training: Gallery
    arriving: Callable[[], list[Picture]]
    watched: dict[str, Gallery]
