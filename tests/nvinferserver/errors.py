"""Errors that end DeepStream."""

from __future__ import annotations

from yolostream.errors import ServerError


class StartFailed(ServerError):
    """The pipeline would not start."""


class PipelineFailed(ServerError):
    """The pipeline would end, because one failed inference is an error of the element."""
