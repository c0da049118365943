"""What slots in shared memory have in common: one region, registered once, reused."""

from __future__ import annotations

import contextlib
from typing import Generic, Protocol, TypeVar

from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from yolostream.client.transport.buffers import INPUT_NAME


class Region(Protocol):
    """Memory that another process may read."""

    def register(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Tell the server of it."""

    def unregister(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Let the server forget it."""

    def close(self) -> None:
        """Free it."""


AnyRegion = TypeVar("AnyRegion", bound=Region)


class RegisteredSlot(Generic[AnyRegion]):
    """A slot without `write`.

    Args:
        client: Of the server.
        timeout_s: Seconds for what the server is told of a region.
    """

    def __init__(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._input = InferInput(INPUT_NAME, [1, 1, 1, 3], "UINT8")
        self._region: AnyRegion | None = None

    def reset(self) -> None:
        """Free the region, of which the server knows nothing any more."""
        if self._region is not None:
            self._region.close()
            self._region = None

    def close(self) -> None:
        """Unregister and free the region."""
        if self._region is not None:
            # A server that is gone has forgotten the region already.
            with contextlib.suppress(InferenceServerException):
                self._region.unregister(self._client, timeout_s=self._timeout_s)
            self.reset()

    def _registered(self, region: AnyRegion) -> AnyRegion:
        """Keep a region once the server knows it, and free it otherwise."""
        try:
            region.register(self._client, timeout_s=self._timeout_s)
        except BaseException:
            region.close()
            raise
        self._region = region
        return region

    def _filled(self, name: str, *, height: int, width: int) -> InferInput:
        """What the request says of a frame that lies in the region of this name."""
        self._input.set_shape([1, height, width, 3])
        self._input.set_shared_memory(name, height * width * 3)
        return self._input
