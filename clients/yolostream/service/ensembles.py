"""The server's ensembles, as the service itself uses them beside its workers."""

from __future__ import annotations

import threading
from collections.abc import Callable

from yolostream.client.detector import Detector
from yolostream.errors import AccessDenied
from yolostream.service.lanes import Connect, warm

_CLOSE_S = 1.0


class Ensembles:
    """Detectors of this process, each made when it is needed first.

    All methods may be called from any thread.

    Args:
        connect: makes them.
        list_served: names of the ensembles that the server has ready.
    """

    def __init__(self, connect: Connect, list_served: Callable[[], list[str]]) -> None:
        self._connect = connect
        self._list_served = list_served
        self._detectors: dict[str, Detector] = {}
        self._lock = threading.Lock()

    def served(self) -> list[str] | None:
        """Names of the ensembles that the server has ready; None where it tells that to nobody.

        Raises:
            ServerError: it is away.
        """
        try:
            return self._list_served()
        except AccessDenied:
            return None

    def detector(self, model: str) -> Detector:
        """The detector of an ensemble.

        Raises:
            ServerError: the server is away, or has no such ensemble.
        """
        with self._lock:
            if model in self._detectors:
                return self._detectors[model]
        # It may take long, and those who want another one do not wait for it.
        made = self._connect(model)
        with self._lock:
            kept = self._detectors.setdefault(model, made)
        if kept is not made:
            made.close(timeout_s=_CLOSE_S)
        return kept

    def check(self, model: str) -> None:
        """Have an ensemble look at a picture.

        Raises:
            YolostreamError: it cannot.
        """
        warm(self.detector(model))

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            for detector in self._detectors.values():
                detector.close(timeout_s=_CLOSE_S)
            self._detectors.clear()
