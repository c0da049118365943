"""The word that a server asks for, and by which its clients are told from strangers."""

from __future__ import annotations

import re
import secrets

HTTP_HEADER = "yolostream-token"
"""The header of an HTTP request that has the token."""

GRPC_HEADER = f"triton-grpc-protocol-{HTTP_HEADER}"
"""The same in gRPC's metadata; Triton puts the first part before the name."""

_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,}")


def is_token(word: str) -> bool:
    """Whether it can be one: at least 16 letters, digits and the like, and nothing else."""
    return _TOKEN.fullmatch(word) is not None


def new_token() -> str:
    """One that nobody can guess."""
    return secrets.token_hex(32)
