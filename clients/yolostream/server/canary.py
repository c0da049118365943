"""Asks a server for what its clients ask for: what is in a frame."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Sequence

import numpy as np
from tritonclient.utils import InferenceServerException

from yolostream.client.digest import digests
from yolostream.client.model import DIGEST_OUTPUT
from yolostream.client.transport.message import INPUT_NAME
from yolostream.client.triton_errors import translated
from yolostream.errors import ModelUnavailable, YolostreamError
from yolostream.server.pulse import Counts, Pulse
from yolostream.server.triton_http import TritonHttp

TIMEOUT_S = 10.0
"""For one frame."""

_LOOK_S = 1.0
_STATISTICS_TIMEOUT_S = 2.0
_SHADES = 128
"""Of each of a pixel's three colors: two questions are alike once in two million times."""


class Canary:
    """Asks one server, in a thread of its own, until it is closed.

    Args:
        server: asks one that is ready. Over HTTP: TLS and what it asks of clients are gRPC's.
        url: its gRPC address, for messages.
        names: of the ensembles to ask.
        proven: of those that have answered once; filled here. Others may never have worked, and
            are no reason to start a server again.
    """

    def __init__(
        self, server: TritonHttp, url: str, names: Sequence[str], proven: set[str]
    ) -> None:
        self.fault: str | None = None
        """What is wrong with the server."""
        self.answers: dict[str, bool] = dict.fromkeys(names, False)
        """Whether each ensemble answers."""
        self._server = server
        self._url = url
        self._proven = proven
        self._pulses = {name: Pulse(time.monotonic()) for name in names}
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="yolostream-canary", daemon=True).start()

    def close(self) -> None:
        """Ask no more; a question that is on its way ends with the server, and counts no more."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set() and self.fault is None:
            for name, pulse in self._pulses.items():
                self._look(name, pulse)
            self._closed.wait(_LOOK_S)

    def _look(self, name: str, pulse: Pulse) -> None:
        before = self._counted(name)
        if not pulse.is_due(time.monotonic(), before):
            return
        asked_at = time.monotonic()
        try:
            with translated(self._url, name):
                is_right = self._ask(name)
        except YolostreamError as error:
            if not self._closed.is_set():
                after = self._counted(name)
                busy = before is not None and after is not None and after.answered > before.answered
                fault = pulse.fault_after(error, time.monotonic(), others_are_answered=busy)
                self._note(name, error, fault)
        else:
            pulse.note_answer(time.monotonic(), asked_at=asked_at)
            self.answers[name] = is_right
            self._proven.add(name)
            if not is_right:
                self.fault = f"'{name}' answers with the boxes of other frames"

    def _ask(self, name: str) -> bool:
        """Send a frame like no other, and see whether the answer is about that frame."""
        pixel = np.array([[random.choices(range(_SHADES), k=3)]], np.uint8)
        asked = {"name": INPUT_NAME, "shape": [1, 1, 1, 3], "datatype": "UINT8"}
        answer = self._server.call(
            f"models/{name}/infer",
            {"inputs": [{**asked, "data": pixel.flatten().tolist()}]},
            timeout_s=TIMEOUT_S,
        )
        told = {output["name"]: output["data"] for output in answer["outputs"]}
        # Ensembles that an older tool installed tell no digest.
        return told.get(DIGEST_OUTPUT) in (None, digests([pixel]).flatten().tolist())

    def _note(self, name: str, error: YolostreamError, fault: str | None) -> None:
        if isinstance(error, ModelUnavailable):
            # Somebody has unloaded it, or it did not load.
            self.answers[name] = False
        elif fault is not None:
            self.answers[name] = False
            if name in self._proven:
                self.fault = fault

    def _counted(self, name: str) -> Counts | None:
        with contextlib.suppress(InferenceServerException):
            told = self._server.call(f"models/{name}/stats", timeout_s=_STATISTICS_TIMEOUT_S)
            stats = [version["inference_stats"] for version in told["model_stats"]]
            return Counts(*(sum(s[kind]["count"] for s in stats) for kind in ("success", "fail")))
        return None
