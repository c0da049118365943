"""Options for authentication and TLS. They name files with secrets, never secrets themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from yolostream.access_token import is_token
from yolostream.client.access import Tls
from yolostream.server.access import ServerTls

TOKEN_VARIABLE = "YOLOSTREAM_TOKEN"

_CLIENT_PANEL = "Authentication at a remote server (with --url)"
_SERVER_PANEL = "Access to the server"


def _option(help: str, panel: str) -> Any:
    return typer.Option(help=help, rich_help_panel=panel, exists=True, dir_okay=False)


TokenFile = Annotated[
    Path | None,
    _option(
        f"File with the server's token. By default the variable {TOKEN_VARIABLE}.",
        _CLIENT_PANEL,
    ),
]
TlsCa = Annotated[
    Path | None,
    _option(
        "Root certificates (PEM) for a grpcs:// address. By default the public ones.",
        _CLIENT_PANEL,
    ),
]
TlsCert = Annotated[
    Path | None,
    _option("Client certificate (PEM), for a server that requires one.", _CLIENT_PANEL),
]
TlsKey = Annotated[
    Path | None, _option("Private key (PEM) of the client certificate.", _CLIENT_PANEL)
]

ServerTokenFile = Annotated[
    Path | None,
    _option(
        f"File with a token that clients must send. By default the variable {TOKEN_VARIABLE}. "
        "Without a token, anybody may use the server.",
        _SERVER_PANEL,
    ),
]
ServerTlsCert = Annotated[
    Path | None,
    _option(
        "Server certificate (PEM). gRPC then uses TLS; HTTP and metrics stay on loopback.",
        _SERVER_PANEL,
    ),
]
ServerTlsKey = Annotated[
    Path | None, _option("Private key (PEM) of the server certificate.", _SERVER_PANEL)
]
ServerTlsClientCa = Annotated[
    Path | None,
    _option(
        "Certificate authority (PEM): only clients with a certificate from it may connect.",
        _SERVER_PANEL,
    ),
]


def token_from(path: Path | None) -> str | None:
    """The token in a file or, without one, in the environment; None if neither is given.

    Raises:
        typer.BadParameter: the file or the variable contains no valid token.
    """
    token = os.environ.get(TOKEN_VARIABLE) if path is None else path.read_text().strip()
    if token is None:
        return None
    if not is_token(token):
        raise typer.BadParameter(
            f"{path or TOKEN_VARIABLE} contains no token of at least 16 letters or digits: "
            "make one with 'openssl rand -hex 32'"
        )
    return token


def client_tls(ca: Path | None, certificate: Path | None, key: Path | None) -> Tls | None:
    """The TLS settings of a client; None if no option was given.

    Raises:
        typer.BadParameter: a certificate without its key, or a key without its certificate.
    """
    _check_pair(certificate, key)
    return Tls(ca, certificate, key) if ca or certificate else None


def server_tls(
    certificate: Path | None, key: Path | None, client_ca: Path | None
) -> ServerTls | None:
    """The TLS settings of a server; None if no option was given.

    Raises:
        typer.BadParameter: a certificate without its key, a key without its certificate, or a
            client authority without either.
    """
    _check_pair(certificate, key)
    if certificate and key:
        return ServerTls(certificate, key, client_ca)
    if client_ca:
        raise typer.BadParameter("--tls-client-ca needs --tls-cert and --tls-key")
    return None


def _check_pair(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--tls-cert and --tls-key must be given together")
