"""Tokens that give access to the API. Only their digests are stored."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import threading
from pathlib import Path
from typing import Literal

from yolostream.errors import ServiceError

Scope = Literal["read", "write"]
"""`read` gives read access; `write` also allows to change cameras and to probe addresses."""

_HEADER = """\
# Tokens of yolostream's API. Each line has a scope and the SHA-256 digest of a token. To revoke a
# token, remove its line.
"""
_LINE = re.compile(r"(?P<scope>read|write) (?P<digest>[0-9a-f]{64})")

_log = logging.getLogger(__name__)


class Tokens:
    """The tokens in a file. Changes of the file take effect at once.

    A plain SHA-256 is enough. Slow hashes protect passwords that people choose, because they make
    each guess expensive; these tokens are 32 random bytes, which cannot be guessed.

    Args:
        path: path of the file.

    Raises:
        ServiceError: the file cannot be read or contains no token.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._state: tuple[int, int, int] | None = None
        self._scopes: dict[str, Scope] = {}
        self._problem = ""
        """Why the file cannot be read; empty if it can."""
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise ServiceError(
                f"cannot read the tokens in {path} ({error}): {_advice(path)}"
            ) from error
        if not self._scopes:
            raise ServiceError(f"{path} contains no token: {_advice(path)}")

    def scope_of(self, token: str) -> Scope | None:
        """The scope of a token; None if the token is not valid."""
        with self._lock:
            try:
                self._read()
                problem = ""
            except (OSError, ValueError) as error:
                # The tokens that were read earlier may have been revoked, so none is accepted.
                self._state, self._scopes = None, {}
                problem = str(error)
            self._report(problem)
            return self._scopes.get(_digest(token))

    def _report(self, problem: str) -> None:
        """Log a change of what is wrong with the file, but not each request meanwhile."""
        if problem and problem != self._problem:
            _log.warning(
                "no token is accepted, because the tokens in %s cannot be read (%s)",
                self._path,
                problem,
            )
        elif self._problem and not problem:
            _log.info("the tokens in %s can be read again", self._path)
        self._problem = problem

    def _read(self) -> None:
        found = self._path.stat()
        state = found.st_mtime_ns, found.st_size, found.st_ino
        if state == self._state:
            return
        scopes: dict[str, Scope] = {}
        for number, line in enumerate(self._path.read_text().splitlines(), 1):
            entry = line.partition("#")[0].strip()
            if match := _LINE.fullmatch(entry):
                scope: Scope = "write" if match["scope"] == "write" else "read"
                scopes[match["digest"]] = scope
            elif entry:
                raise ValueError(f"line {number} does not consist of a scope and a digest")
        self._state, self._scopes = state, scopes


def new_token(path: Path, scope: Scope) -> str:
    """Make a token, and add its digest to a file. Only the owner may read a new file.

    Returns:
        The token, which is not stored.

    Raises:
        ServiceError: the file cannot be written.
    """
    token = secrets.token_urlsafe(32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(descriptor, "a") as file:
            file.write(("" if file.tell() else _HEADER) + f"{scope} {_digest(token)}\n")
    except OSError as error:
        raise ServiceError(
            f"cannot write {path} ({error.strerror}): name another file for the tokens"
        ) from error
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _advice(path: Path) -> str:
    return f"run 'yolostream token write --file {path}' to make one"
