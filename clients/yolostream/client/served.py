"""Lists the ensembles that a server has ready."""

from __future__ import annotations

import contextlib

from yolostream.client.access import OPEN, Access
from yolostream.client.addresses import resolve, split
from yolostream.client.connection import connect
from yolostream.client.model import detects
from yolostream.client.triton_errors import translated


def served_ensembles(url: str, access: Access = OPEN, *, timeout_s: float = 10.0) -> list[str]:
    """Names of this project's ensembles that a server has ready, sorted.

    Args:
        url: see `Detector`; of several servers, the first.
        access: token and TLS files.
        timeout_s: timeout in seconds of each call.

    Raises:
        AccessDenied: the token is missing or wrong, or the server denies access to its models.
        ServerUnavailable: no server answers at `url`.
    """
    first = resolve(split(url))[0]
    client = connect(first, access)
    with contextlib.closing(client), translated(first, ""):
        index = client.get_model_repository_index(client_timeout=timeout_s)
        ready = sorted({model.name for model in index.models if model.state == "READY"})
        configs = {
            name: client.get_model_config(name, client_timeout=timeout_s).config for name in ready
        }
    return [
        name
        for name, config in configs.items()
        if config.ensemble_scheduling.step and detects(config)
    ]
