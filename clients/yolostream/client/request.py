"""One request with its frames, and the retry at another server."""

from __future__ import annotations

from collections.abc import Sequence

from tritonclient.grpc.service_pb2 import ModelInferResponse

from yolostream.client.batch import Batch
from yolostream.client.ensemble import Ensemble
from yolostream.client.model import DIGEST_OUTPUT, Model
from yolostream.client.pending import Pending, detections_in
from yolostream.client.servers import Servers
from yolostream.client.transport.message import Message
from yolostream.client.transport.pool import Lease
from yolostream.client.triton_errors import is_about_shared_memory, translated
from yolostream.detections import Detections
from yolostream.errors import ModelUnavailable, ServerUnavailable
from yolostream.image import AnyImage

_ATTEMPTS = 2
"""Attempts at one server, if it answers with the boxes of another frame."""


class Request:
    """One request. Creating it fills the buffer; `answer` or `settle` sends it.

    If the server fails, the request is sent once more to another server, if there is one. That is
    safe even if both servers process it, because detection has no side effects.

    Args:
        servers: the servers to choose from.
        batch: the frames.
        lease: the slot whose buffer the frames are written to.
        timeout_s: seconds until the request fails without an answer.
        traceparent: the caller's span, in the format of W3C Trace Context.

    Raises:
        YolostreamError: the frames cannot be put into the buffer; see `Detector.submit_batch`.
    """

    def __init__(
        self,
        servers: Servers,
        batch: Batch,
        lease: Lease,
        *,
        timeout_s: float,
        traceparent: str | None = None,
    ) -> None:
        self._servers = servers
        self._batch = batch
        self._lease = lease
        self._timeout_s = timeout_s
        self._traceparent = traceparent
        self._sent: Sequence[AnyImage] = ()
        self._ensemble = lease.slot.ensemble = servers.choose()
        try:
            self._write(batch.frames)
        except (ServerUnavailable, ModelUnavailable):
            if not self._move():
                raise
            self._write(batch.frames)
        lease.sent()

    def answer(self) -> list[Detections]:
        """Send the request and wait for the answer.

        Returns:
            The detections of each frame, in order.

        Raises:
            YolostreamError: see `Detector.detect`.
        """
        try:
            return self._detections()
        except (ServerUnavailable, ModelUnavailable):
            if not self._sent or not self._move():
                raise
            self._write(self._sent)
            return self._detections()
        finally:
            # An error's traceback refers to this request until the garbage collector runs, so the
            # frames are dropped here.
            self._sent = ()

    def settle(self, pending: Sequence[Pending]) -> None:
        """Send the request, set the results of `pending`, and release the slot.

        This does nothing if the caller was interrupted and has released the slot already.
        """
        if not self._lease.take_over():
            return
        outcomes: Sequence[Detections | Exception]
        try:
            outcomes = self.answer()
        except Exception as failure:
            # `Future.result` raises it in the callers.
            outcomes = [failure] * len(pending)
        finally:
            self._lease.release()
        for one, outcome in zip(pending, outcomes, strict=True):
            one.answer(outcome)

    def _write(self, frames: Sequence[AnyImage]) -> None:
        height, width = self._batch.height, self._batch.width
        self._buffer = self._lease.slot.buffer_at(self._ensemble)
        try:
            with translated(self._ensemble.url, self._ensemble.model.name):
                self._message = self._buffer.write(frames, height=height, width=width)
        except (ServerUnavailable, ModelUnavailable) as error:
            self._servers.report(self._ensemble, error)
            raise

    def _detections(self) -> list[Detections]:
        """Send the request to the chosen server; return detections with that server's labels."""
        ensemble = self._ensemble
        try:
            ensemble.refresh(timeout_s=self._timeout_s)
            interruptions, model = ensemble.interruptions, ensemble.model
            response = self._response(ensemble, model)
            if ensemble.interruptions != interruptions:
                raise ServerUnavailable(
                    f"{ensemble.url} was unreachable meanwhile, and another server may have "
                    "answered: send the frame again"
                )
        except (ServerUnavailable, ModelUnavailable) as error:
            self._servers.report(ensemble, error)
            # A retry needs the frames as they were sent; the caller may have changed its own.
            self._sent = self._sent_frames()
            if error.__cause__ is not None and is_about_shared_memory(error.__cause__):
                self._buffer.reset()
            raise
        return detections_in(response, self._batch.original_sizes, model.labels)

    def _response(self, ensemble: Ensemble, model: Model) -> ModelInferResponse:
        """The server's response, after checking that it belongs to these frames."""
        with translated(ensemble.url, model.name):
            for _ in range(_ATTEMPTS):
                response = ensemble.infer(self._message.request, self._timeout_s, self._traceparent)
                if not model.has_digests or _is_answer_to(self._message, response):
                    return response
        # One of its steps returns each answer one request late, and stays so until a restart.
        raise ServerUnavailable(
            f"{ensemble.url} answered {_ATTEMPTS} times with the boxes of another frame: restart it"
        )

    def _sent_frames(self) -> Sequence[AnyImage]:
        """The frames as they were sent; empty if they are in GPU memory."""
        batch = self._batch
        shape = (len(batch.frames), batch.height, batch.width, 3)
        return self._buffer.sent(self._message.request, shape)

    def _move(self) -> bool:
        """Choose another server; return whether there is one."""
        other = self._servers.another(self._ensemble)
        if other is not None:
            self._ensemble = self._lease.slot.ensemble = other
        return other is not None


def _is_answer_to(message: Message, response: ModelInferResponse) -> bool:
    """Whether the response has the digests of the frames sent; see docs/right_boxes.md."""
    sent = message.digests.tobytes()
    return any(
        output.name == DIGEST_OUTPUT and content == sent
        for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
    )
