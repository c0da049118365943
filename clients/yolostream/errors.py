"""The errors of this package, as one tree.

YolostreamError
 +-- SourceError             a video, picture, folder, camera or stream cannot be read
 |    +-- SourceDenied       the user or password of a camera is missing or wrong
 |    +-- SourceUnsupported  a source sends no video, or one that cannot be decoded
 |    +-- SourceAbsent       the address answers, but has no such stream
 |    +-- SourceRefused      the address refuses connections
 |    +-- SourceSilent       the address does not answer in time
 +-- OutputError             a result cannot be written
 +-- FrameError              a frame is not uint8 RGB of an accepted size: the caller's mistake
 +-- ServerStartError        the embedded Triton does not start
 +-- WorkerError             a worker process dies again and again
 +-- PackageMissing          an optional package is not installed
 +-- ForkError               a detector is used in a fork of the process that made it
 +-- ServiceError            the live service cannot do what was requested
 |    +-- ConfigurationError its configuration is wrong
 +-- ServerError             a Triton server reports an error
      +-- ServerUnavailable  no server answers at the address, or the connection was lost
      +-- ModelUnavailable   the server does not have the model, or the model is not ready
      +-- DeadlineExceeded   no answer came within the timeout
      +-- AccessDenied       the server's token is missing or wrong
      +-- Overloaded         the server rejected the frame because its queue is full

Each message names the wrong value and the fix. Each class has the exit code of a command that ends
with this error.
"""

from __future__ import annotations

from typing import ClassVar


class YolostreamError(Exception):
    """Base class of all errors of this package."""

    exit_code: ClassVar[int] = 1


class SourceError(YolostreamError):
    """A video, picture, folder, camera or stream cannot be read."""

    exit_code = 3


class SourceDenied(SourceError):
    """The user or password of a camera is missing or wrong. Some cameras lock after many tries."""


class SourceUnsupported(SourceError):
    """A source sends no video, or one that cannot be decoded."""


class SourceAbsent(SourceError):
    """The address of a camera answers, but has no such stream; or there is no such file."""


class SourceRefused(SourceError):
    """The address of a camera refuses connections."""


class SourceSilent(SourceError):
    """A camera does not answer in time."""


class OutputError(YolostreamError):
    """A result cannot be written."""

    exit_code = 4


class FrameError(YolostreamError):
    """A frame is not uint8 RGB of an accepted size."""

    exit_code = 5


class ServerStartError(YolostreamError):
    """The embedded Triton does not start."""

    exit_code = 6


class WorkerError(YolostreamError):
    """A worker process, which runs some of the sources, dies again and again."""

    exit_code = 20


class ServiceError(YolostreamError):
    """The live service cannot do what was requested: a port is taken, for example."""

    exit_code = 23


class ConfigurationError(ServiceError):
    """The configuration of the live service cannot be read, or has a wrong value."""

    exit_code = 24


class PackageMissing(YolostreamError):
    """An optional package is not installed. An extra of this package installs it."""

    exit_code = 25


class ForkError(YolostreamError):
    """A detector is used in a fork of the process that made it."""

    exit_code = 22


class ServerError(YolostreamError):
    """A Triton server reports an error."""

    exit_code = 7


class ServerUnavailable(ServerError):
    """No server answers at the address, or the connection was lost."""

    exit_code = 8


class ModelUnavailable(ServerError):
    """The server does not have the model, or the model is not ready."""

    exit_code = 9


class DeadlineExceeded(ServerError):
    """No answer came within the timeout."""

    exit_code = 10


class Overloaded(ServerError):
    """The server rejected the frame because its queue is full."""

    exit_code = 11


class AccessDenied(ServerError):
    """The server's token is missing or wrong, or a file for TLS cannot be read."""

    exit_code = 21
