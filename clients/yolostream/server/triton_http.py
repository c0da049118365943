"""Asks a server on this machine over HTTP, which needs neither its certificate nor one for it."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from tritonclient.utils import InferenceServerException

from yolostream.access_token import HTTP_HEADER

# A proxy in the environment must not come between us and our own machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# Of gRPC, by HTTP's.
_STATUS = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 503: "UNAVAILABLE"}


class TritonHttp:
    """One server.

    Args:
        url: `host:port` of its HTTP.
        token: that it asks for, if any.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url
        self._headers = {} if token is None else {HTTP_HEADER: token}

    def is_ready(self) -> bool:
        """Whether it has loaded all of its models."""
        try:
            self.call("health/ready", timeout_s=1)
        except InferenceServerException:
            # Before Triton listens, a connection from an ephemeral port may connect to itself.
            return False
        return True

    def call(self, path: str, content: object = None, *, timeout_s: float) -> dict[str, Any]:
        """What it answers.

        Args:
            path: after `/v2/`.
            content: to post, as JSON has it; None only asks.
            timeout_s: without a word from the server.

        Raises:
            InferenceServerException: it fails, or does not answer; with the status that gRPC has.
        """
        request = urllib.request.Request(
            f"http://{self._url}/v2/{path}",
            data=None if content is None else json.dumps(content).encode(),
            headers=self._headers,
        )
        try:
            with _DIRECT.open(request, timeout=timeout_s) as answer:
                return dict(json.loads(answer.read() or "{}"))
        except urllib.error.HTTPError as error:
            raise InferenceServerException(
                _message(error), status=_STATUS.get(error.code, "INTERNAL")
            ) from error
        except TimeoutError as error:
            raise InferenceServerException(str(error), status="DEADLINE_EXCEEDED") from error
        except (OSError, http.client.HTTPException, ValueError, TypeError) as error:
            raise InferenceServerException(str(error), status="UNAVAILABLE") from error


def _message(error: urllib.error.HTTPError) -> str:
    text = ""
    try:
        text = error.read().decode(errors="replace")
        return str(json.loads(text)["error"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return text or error.reason
