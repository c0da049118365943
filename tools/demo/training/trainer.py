"""The training loop, which runs for a given time on one device."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

import torch
from torch import nn

from tools.demo.training.batch import draw_batch
from tools.demo.training.compiled import compiled_maps
from tools.demo.training.ema import AveragedNetwork
from tools.demo.training.gallery import SIDE
from tools.demo.training.loss import Losses, detection_loss
from tools.demo.training.predictions import build_grid
from tools.demo.training.sampling import Sampler, build_sampler
from tools.demo.training.schedule import learning_rate_factor, plain_share
from tools.demo.training.settings import Data, Settings
from tools.demo.training.start import optimizer_for
from tools.demo.training.watch import class_precisions
from tools.yolov7 import Network
from tools.yolov7.checkpoint import Meta, save_checkpoint

_log = logging.getLogger(__name__)
_GRADIENT_NORM = 5.0
SCENE_SHARE = 0.5


def train(network: Network, data: Data, settings: Settings) -> Network:
    """Train for the given time.

    Args:
        network: The network, on the device of the data. It is changed in place.
        data: The data.
        settings: The settings.

    Returns:
        The averaged network, which is also written to `settings.output`.

    Raises:
        FloatingPointError: The loss is no longer finite.
    """
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = _Run(network, data, settings)
    saving, watching = Timer(settings.save_every_s), Timer(settings.watch_every_s)
    receiving = Timer(settings.receive_every_s)
    while run.progress < 1.0:
        run.step()
        if receiving.due():
            run.receive()
        if saving.due():
            run.save(settings.output.with_stem(f"{settings.output.stem}-{run.elapsed_s:04.0f}s"))
        if watching.due():
            run.watch()
    run.save(settings.output)
    run.watch()
    return run.averaged.network


class Timer:
    """Tells at regular intervals that a task is due."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._last_s = time.monotonic()

    def due(self) -> bool:
        """Whether the interval has passed since this was last true."""
        now_s = time.monotonic()
        if now_s - self._last_s < self._every_s:
            return False
        self._last_s = now_s
        return True


class _Run:
    """The state of a training."""

    def __init__(self, network: Network, data: Data, settings: Settings) -> None:
        self._network, self._data, self._settings = network, data, settings
        self.averaged = AveragedNetwork(network)
        self._optimizer = optimizer_for(network, rate=settings.rate, decay=settings.decay)
        self._grid = build_grid(network.detect, side=SIDE)
        self._maps = compiled_maps(network, settings.batch) if settings.compiled else network.maps
        self._sampler = self._new_sampler()
        self._logging = Timer(settings.log_every_s)
        self._start_s = time.monotonic()
        self._logged_s = self._start_s
        self._images = self._logged_images = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start_s

    @property
    def progress(self) -> float:
        """Elapsed share of the training time."""
        return self.elapsed_s / (60 * self._settings.minutes)

    def step(self) -> None:
        """One batch: forward, backward, update."""
        progress, settings = self.progress, self._settings
        rate = settings.rate * learning_rate_factor(progress)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        images, targets = draw_batch(
            self._data.training, self._sampler, settings.batch, plain=plain_share(progress)
        )
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            maps = self._maps(images.contiguous(memory_format=torch.channels_last))
        losses = detection_loss(maps, targets, self._grid)
        self._optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._network.parameters(), _GRADIENT_NORM)
        self._optimizer.step()
        self.averaged.update(self._network)
        self._images += settings.batch
        if self._logging.due():
            self._log_losses(losses, rate)

    def receive(self) -> None:
        """Add the pictures that are ready to the training data."""
        pictures = self._data.arriving()
        if pictures:
            self._data.training.append(pictures, class_ids=self._network.table.class_ids)
            self._sampler = self._new_sampler()

    def _new_sampler(self) -> Sampler:
        table = self._network.table
        return build_sampler(self._data.training, table.class_ids, scene_share=SCENE_SHARE)

    def _log_losses(self, losses: Losses, rate: float) -> None:
        total = losses.total.item()
        if not math.isfinite(total):
            raise FloatingPointError(f"loss is {total} after {self._images} pictures")
        now_s = time.monotonic()
        speed = (self._images - self._logged_images) / (now_s - self._logged_s)
        self._logged_s, self._logged_images = now_s, self._images
        _log.info(
            "%6.1f s  %8d from %d  %6.0f/s  loss %.4f = box %.4f object %.4f class %.4f  rate %.1e",
            now_s - self._start_s,
            self._images,
            len(self._data.training),
            speed,
            total,
            losses.box.item(),
            losses.objectness.item(),
            losses.classes.item(),
            rate,
        )

    def save(self, path: Path) -> None:
        """Write the averaged weights."""
        meta = Meta(self._network.table.name, self._images, round(self.elapsed_s / 60, 2))
        save_checkpoint(path, self.averaged.network, meta)
        _log.info("saved %s after %.0f s", path, self.elapsed_s)

    def watch(self) -> None:
        """Log the average precision on the watched galleries."""
        for name, gallery in self._data.watched.items():
            found = class_precisions(self.averaged.network, gallery, batch=self._settings.batch)
            values = [value for value in found.values() if not math.isnan(value)]
            each = "  ".join(f"{class_id}: {value:.3f}" for class_id, value in found.items())
            _log.info("AP50 on %s: mean %.3f  %s", name, sum(values) / max(len(values), 1), each)
