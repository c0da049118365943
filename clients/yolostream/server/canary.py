"""Health probes of a server that send it test frames and check the answers."""

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
from yolostream.server.liveness import Counts, Liveness
from yolostream.server.triton_http import TritonHttp

TIMEOUT_S = 10.0
"""Timeout of one test frame."""

_LOOK_S = 1.0
_STATISTICS_TIMEOUT_S = 2.0
_SHADES = 128
"""Values per color channel of a test frame, which is one pixel: two million different frames."""


class Canary:
    """Probes one server, in a thread of its own, until it is closed.

    Args:
        server: a server that is ready. HTTP is used, because it needs no TLS certificates.
        url: its gRPC address, for messages.
        names: names of the ensembles to probe.
        proven: names of the ensembles that have ever answered; this class adds to it. Others may
            never have worked, so their failures are no reason to restart the server.
    """

    def __init__(
        self, server: TritonHttp, url: str, names: Sequence[str], proven: set[str]
    ) -> None:
        self.fault: str | None = None
        """Why the server has to be restarted; None if it is healthy."""
        self.answers: dict[str, bool] = dict.fromkeys(names, False)
        """Whether each ensemble answers."""
        self._server = server
        self._url = url
        self._proven = proven
        self._liveness = {name: Liveness(time.monotonic()) for name in names}
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="yolostream-canary", daemon=True).start()

    def close(self) -> None:
        """Stop probing, without waiting. The result of a probe that still runs is ignored."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set() and self.fault is None:
            for name, liveness in self._liveness.items():
                self._probe(name, liveness)
            self._closed.wait(_LOOK_S)

    def _probe(self, name: str, liveness: Liveness) -> None:
        before = self._counted(name)
        if not liveness.is_due(time.monotonic(), before):
            return
        asked_at = time.monotonic()
        try:
            with translated(self._url, name):
                is_right = self._send_test_frame(name)
        except YolostreamError as error:
            if not self._closed.is_set():
                after = self._counted(name)
                busy = before is not None and after is not None and after.answered > before.answered
                fault = liveness.fault_after(error, time.monotonic(), others_are_answered=busy)
                self._note(name, error, fault)
        else:
            liveness.note_answer(time.monotonic(), asked_at=asked_at)
            self.answers[name] = is_right
            self._proven.add(name)
            if not is_right:
                self.fault = f"'{name}' answers with the boxes of other frames"

    def _send_test_frame(self, name: str) -> bool:
        """Send a random frame; return whether the answer belongs to that frame."""
        pixel = np.array([[random.choices(range(_SHADES), k=3)]], np.uint8)
        tensor = {"name": INPUT_NAME, "shape": [1, 1, 1, 3], "datatype": "UINT8"}
        answer = self._server.call(
            f"models/{name}/infer",
            {"inputs": [{**tensor, "data": pixel.flatten().tolist()}]},
            timeout_s=TIMEOUT_S,
        )
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
        # Ensembles that an older version installed have no digest.
        return outputs.get(DIGEST_OUTPUT) in (None, digests([pixel]).flatten().tolist())

    def _note(self, name: str, error: YolostreamError, fault: str | None) -> None:
        if isinstance(error, ModelUnavailable):
            # The model was unloaded, or failed to load. A restart would not help.
            self.answers[name] = False
        elif fault is not None:
            self.answers[name] = False
            if name in self._proven:
                self.fault = fault

    def _counted(self, name: str) -> Counts | None:
        with contextlib.suppress(InferenceServerException):
            answer = self._server.call(f"models/{name}/stats", timeout_s=_STATISTICS_TIMEOUT_S)
            stats = [version["inference_stats"] for version in answer["model_stats"]]
            return Counts(*(sum(s[kind]["count"] for s in stats) for kind in ("success", "fail")))
        return None
