"""Certificates for the tests of TLS, made without the program openssl, which a machine may lack."""

from __future__ import annotations

from pathlib import Path

import trustme
from loopback import LOOPBACK


def write_certificates(folder: Path) -> None:
    """Make an authority, and with it certificates of a server and a client of this machine.

    Args:
        folder: Gets `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key`.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("server", "client"):
        issued = authority.issue_cert(LOOPBACK, "localhost")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
