"""The token that a server requires from its clients."""

from __future__ import annotations

import re
import secrets

HTTP_HEADER = "yolostream-token"
"""Name of the HTTP header with the token."""

GRPC_HEADER = f"triton-grpc-protocol-{HTTP_HEADER}"
"""Name of the gRPC metadata with the token. Triton prescribes the prefix."""

_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,}")


def is_token(word: str) -> bool:
    """Whether `word` is a valid token: at least 16 letters, digits and characters of `._~-`."""
    return _TOKEN.fullmatch(word) is not None


def new_token() -> str:
    """A random token of 256 bits."""
    return secrets.token_hex(32)
