"""An HTTP client for a Triton on this machine. HTTP is used because it needs no certificates."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from tritonclient.utils import InferenceServerException

from yolostream.access_token import HTTP_HEADER

# Connections to this machine must not go through a proxy from the environment.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# From HTTP's status codes to gRPC's.
_STATUS = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 503: "UNAVAILABLE"}


class TritonHttp:
    """The HTTP API of one server.

    Args:
        url: address of its HTTP, `host:port`.
        token: the server's token; None if it requires none.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url
        self._headers = {} if token is None else {HTTP_HEADER: token}

    def is_ready(self) -> bool:
        """Whether the server has loaded all of its models."""
        try:
            self.call("health/ready", timeout_s=1)
        except InferenceServerException:
            # This also catches strange answers: before Triton listens, a connection from an
            # ephemeral port may connect to itself.
            return False
        return True

    def call(self, path: str, content: object = None, *, timeout_s: float) -> dict[str, Any]:
        """Send a request, and return the JSON object of the answer.

        Args:
            path: the path after `/v2/`.
            content: value to POST as JSON; None sends a GET.
            timeout_s: timeout in seconds.

        Raises:
            InferenceServerException: the request fails, or is not answered; its status is the name
                of a gRPC status code.
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
