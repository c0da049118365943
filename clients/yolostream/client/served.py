"""What a server serves."""

from __future__ import annotations

import contextlib

from yolostream.client.access import OPEN, Access
from yolostream.client.addresses import resolve, split
from yolostream.client.connection import connect
from yolostream.client.model import detects
from yolostream.client.triton_errors import translated


def served_ensembles(url: str, access: Access = OPEN, *, timeout_s: float = 10.0) -> list[str]:
    """Names of the ensembles that a server has ready, in order.

    Args:
        url: see `Detector`; of several servers the first is asked.
        access: what it asks of its clients.
        timeout_s: for each question.

    Raises:
        AccessDenied: it tells that to nobody, or to those with another token.
        ServerUnavailable: nobody answers at `url`.
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
