"""The ways of frames to the server's ensembles, one to each."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from yolostream.client.detector import Detector
from yolostream.errors import ServerError, YolostreamError
from yolostream.pipeline.dispatcher import Batching, Dispatcher
from yolostream.pipeline.share import MAX_BATCH, MAX_IN_FLIGHT_ON_GPU, batch_size
from yolostream.pipeline.worker_process import CLOSE_TIMEOUT_S

RETRY_S = 1.0
"""Between two attempts to reach a server that is away."""


class Connect(Protocol):
    """Makes the detector of an ensemble. It can be pickled."""

    def __call__(self, model: str) -> Detector:
        """Connect to the server."""


def warm(detector: Detector) -> None:
    """One real detection, of a gray picture: the next one finds everything in place.

    Raises:
        YolostreamError: it fails.
    """
    detector.detect(np.full((*detector.model.input_size, 3), 114, np.uint8))


class Lane:
    """What sends frames to one ensemble.

    Args:
        detector: of the ensemble.
        workers: processes that share the server, at most.
    """

    def __init__(self, detector: Detector, workers: int) -> None:
        self.detector = detector
        size = batch_size(
            MAX_IN_FLIGHT_ON_GPU,
            workers,
            wanted=MAX_BATCH if detector.model.gpus else 1,
            most=detector.model.max_batch_size,
        )
        self.dispatcher = Dispatcher(detector, Batching(size))
        # The first frames would wait for it. They do if the server is away now.
        with contextlib.suppress(ServerError):
            detector.reserve(size)


class Lanes:
    """A lane for each ensemble, made when the first camera needs it.

    Args:
        connect: makes the detectors.
        workers: processes that share the server, at most.
        stopping: is set once nobody waits for a server any more.
    """

    def __init__(self, connect: Connect, workers: int, stopping: threading.Event) -> None:
        self._connect = connect
        self._workers = workers
        self._stopping = stopping
        self._lanes: dict[str, Lane] = {}
        self._lock = threading.Lock()

    @property
    def are_broken(self) -> bool:
        """Whether a dispatcher has ended by a defect: a new process does better."""
        return any(not lane.dispatcher.is_alive for lane in list(self._lanes.values()))

    def of(
        self,
        model: str,
        *,
        on_trouble: Callable[[YolostreamError], None],
        unless: Callable[[], bool],
    ) -> Lane | None:
        """The lane of an ensemble; waits for a server that is away.

        Returns:
            None once we stop, or `unless` says that something else is wanted.
        """
        while not (self._stopping.is_set() or unless()):
            try:
                return self.connected(model)
            except YolostreamError as error:
                on_trouble(error)
            self._stopping.wait(RETRY_S)
        return None

    def connected(self, model: str) -> Lane:
        """The lane of an ensemble.

        Raises:
            YolostreamError: the server is away, or has none of this name.
        """
        with self._lock:
            if model not in self._lanes:
                self._lanes[model] = Lane(self._connect(model), self._workers)
            return self._lanes[model]

    def close(self) -> None:
        """Disconnect from all."""
        for lane in self._lanes.values():
            lane.detector.close(timeout_s=CLOSE_TIMEOUT_S)
