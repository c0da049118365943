"""What says who may use a server, and what a server may ask: files, and never the secret itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from yolostream.access_token import is_token
from yolostream.client.access import Tls
from yolostream.server.access import ServerTls

TOKEN_VARIABLE = "YOLOSTREAM_TOKEN"

_CLIENT_PANEL = "A server that asks who is there (with --url)"
_SERVER_PANEL = "Who may use it"


def _option(help: str, panel: str) -> Any:
    return typer.Option(help=help, rich_help_panel=panel, exists=True, dir_okay=False)


TokenFile = Annotated[
    Path | None,
    _option(
        f"File with the server's token. By default the environment's {TOKEN_VARIABLE}.",
        _CLIENT_PANEL,
    ),
]
TlsCa = Annotated[
    Path | None,
    _option("Root certificates (PEM) for a grpcs:// address; else the public ones.", _CLIENT_PANEL),
]
TlsCert = Annotated[
    Path | None, _option("Certificate (PEM) that a server may ask for.", _CLIENT_PANEL)
]
TlsKey = Annotated[Path | None, _option("Its private key (PEM).", _CLIENT_PANEL)]

ServerTokenFile = Annotated[
    Path | None,
    _option(
        "File with a token that clients have to know. By default the environment's "
        f"{TOKEN_VARIABLE}; without any, all may use it.",
        _SERVER_PANEL,
    ),
]
ServerTlsCert = Annotated[
    Path | None,
    _option("Certificate (PEM): gRPC with TLS; HTTP and metrics on loopback.", _SERVER_PANEL),
]
ServerTlsKey = Annotated[Path | None, _option("Its private key (PEM).", _SERVER_PANEL)]
ServerTlsClientCa = Annotated[
    Path | None,
    _option("Let in only clients with a certificate of this authority (PEM).", _SERVER_PANEL),
]


def token_from(path: Path | None) -> str | None:
    """The token in a file, or in the environment; None where there is none.

    Raises:
        typer.BadParameter: what is there is no token.
    """
    token = os.environ.get(TOKEN_VARIABLE) if path is None else path.read_text().strip()
    if token is None:
        return None
    if not is_token(token):
        raise typer.BadParameter(
            f"{path or TOKEN_VARIABLE} has no token in it, at least 16 letters or digits: "
            "make one with 'openssl rand -hex 32'"
        )
    return token


def client_tls(ca: Path | None, certificate: Path | None, key: Path | None) -> Tls | None:
    """What is known of TLS; None where nothing was said.

    Raises:
        typer.BadParameter: half of a pair.
    """
    _check_pair(certificate, key)
    return Tls(ca, certificate, key) if ca or certificate else None


def server_tls(
    certificate: Path | None, key: Path | None, client_ca: Path | None
) -> ServerTls | None:
    """How a server proves what it is; None where nothing was said.

    Raises:
        typer.BadParameter: half of a pair.
    """
    _check_pair(certificate, key)
    if certificate and key:
        return ServerTls(certificate, key, client_ca)
    if client_ca:
        raise typer.BadParameter("--tls-client-ca needs --tls-cert and --tls-key")
    return None


def _check_pair(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--tls-cert and --tls-key go together")
