"""How DeepStream ends where it should not."""

from __future__ import annotations

from yolostream.errors import ServerError


class StartFailed(ServerError):
    """The pipeline would not start."""


class PipelineFailed(ServerError):
    """The pipeline would end: one failed inference is an element error."""
