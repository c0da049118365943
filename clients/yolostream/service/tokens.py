"""Who may use the API: tokens, of which only digests are kept."""

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
"""`read` looks; `write` also changes cameras and has addresses opened."""

_HEADER = """\
# Tokens of yolostream's API: a scope, and the SHA-256 of a token. Without its line, one counts no
# longer.
"""
_LINE = re.compile(r"(?P<scope>read|write) (?P<digest>[0-9a-f]{64})")

_log = logging.getLogger(__name__)


class Tokens:
    """The tokens of a file, which may change at any time: what is removed counts no longer.

    A plain SHA-256 is enough. A slow hash protects words that people choose, by making each guess
    dear; these tokens are 32 random bytes, which nobody guesses at any price.

    Args:
        path: of the file.

    Raises:
        ServiceError: it cannot be read, or has no token in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._state: tuple[int, int, int] | None = None
        self._scopes: dict[str, Scope] = {}
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise ServiceError(
                f"cannot read the tokens in {path} ({error}): {_advice(path)}"
            ) from error
        if not self._scopes:
            raise ServiceError(f"{path} has no token in it: {_advice(path)}")

    def scope_of(self, token: str) -> Scope | None:
        """What somebody who knows `token` may do; None where it is none of ours."""
        with self._lock:
            try:
                self._read()
            except (OSError, ValueError) as error:
                # Whom it named may have been turned out: nobody is let in.
                self._state, self._scopes = None, {}
                _log.warning(
                    "nobody is let in: cannot read the tokens in %s (%s)", self._path, error
                )
            return self._scopes.get(_digest(token))

    def _read(self) -> None:
        found = self._path.stat()
        state = found.st_mtime_ns, found.st_size, found.st_ino
        if state == self._state:
            return
        scopes: dict[str, Scope] = {}
        for number, line in enumerate(self._path.read_text().splitlines(), 1):
            words = line.partition("#")[0].strip()
            if said := _LINE.fullmatch(words):
                scope: Scope = "write" if said["scope"] == "write" else "read"
                scopes[said["digest"]] = scope
            elif words:
                raise ValueError(f"line {number} is no scope and digest")
        self._state, self._scopes = state, scopes


def new_token(path: Path, scope: Scope) -> str:
    """Make a token, and add its digest to a file, which only its owner may read.

    Returns:
        The token, which is kept nowhere.

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
    return f"'yolostream token write --file {path}' makes one"
