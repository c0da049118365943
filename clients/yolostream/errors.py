"""Everything that can go wrong, as one tree.

YolostreamError
 +-- SourceError             a video, picture, folder, camera or stream cannot be read
 |    +-- SourceDenied       a camera wants another user or password
 |    +-- SourceUnsupported  what it sends is no video, or none that can be decoded
 |    +-- SourceAbsent       something answers at its address, and has no such stream
 |    +-- SourceRefused      nothing takes connections at its address
 |    +-- SourceSilent       nothing answers in time
 +-- OutputError             a result cannot be written
 +-- FrameError              a frame is not uint8 RGB of an accepted size: the caller's fault
 +-- ServerStartError        the embedded Triton does not start
 +-- WorkerError             a process that feeds some of the sources dies again and again
 +-- PackageMissing          a package is not installed that only some commands need
 +-- ForkError               a detector is used in a fork of the process that made it
 +-- ServiceError           the live service cannot do what was asked
 |    +-- ConfigurationError its configuration is wrong
 +-- ServerError             a Triton does not do what was asked
      +-- ServerUnavailable  nobody answers at the address, or the connection broke
      +-- ModelUnavailable   the server has no such model, or it is not ready
      +-- DeadlineExceeded   no answer within the time allowed
      +-- AccessDenied       the server wants a token, or another one
      +-- Overloaded         the server rejected the frame because its queue is full

Each message names the value that was wrong and the fix. Each class carries the exit code of the
command line that ends with it.
"""

from __future__ import annotations

from typing import ClassVar


class YolostreamError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class SourceError(YolostreamError):
    """A video, picture, folder, camera or stream cannot be read."""

    exit_code = 3


class SourceDenied(SourceError):
    """A camera wants another user or password. Asked too often, some lock the account."""


class SourceUnsupported(SourceError):
    """What a source sends is no video, or none that can be decoded."""


class SourceAbsent(SourceError):
    """What answers at the address of a camera has no such stream, or there is no such file."""


class SourceRefused(SourceError):
    """Nothing takes connections at the address of a camera."""


class SourceSilent(SourceError):
    """A camera gives no answer in time."""


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
    """A process that feeds some of the sources dies again and again."""

    exit_code = 20


class ServiceError(YolostreamError):
    """The live service cannot do what was asked: a port is taken, say, or a camera unknown."""

    exit_code = 23


class ConfigurationError(ServiceError):
    """The configuration of the live service cannot be read, or says something that is wrong."""

    exit_code = 24


class PackageMissing(YolostreamError):
    """A package is not installed that only some commands need; an extra brings it."""

    exit_code = 25


class ForkError(YolostreamError):
    """A detector is used in a fork of the process that made it."""

    exit_code = 22


class ServerError(YolostreamError):
    """A Triton does not do what was asked."""

    exit_code = 7


class ServerUnavailable(ServerError):
    """Nobody answers at the address, or the connection broke."""

    exit_code = 8


class ModelUnavailable(ServerError):
    """The server has no such model, or it is not ready."""

    exit_code = 9


class DeadlineExceeded(ServerError):
    """No answer within the time allowed."""

    exit_code = 10


class Overloaded(ServerError):
    """The server rejected the frame because its queue is full."""

    exit_code = 11


class AccessDenied(ServerError):
    """The server wants a token, or another one; or a file for TLS cannot be read."""

    exit_code = 21
