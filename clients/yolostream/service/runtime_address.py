"""Which addresses may be given while the service runs: by the API, and not by the file."""

from __future__ import annotations

from urllib.parse import urlsplit

from yolostream.errors import SourceError
from yolostream.redaction import redact_argument
from yolostream.sources.address import SCHEMES, address_in

LONGEST = 2000


def check_runtime_address(source: str) -> str:
    """Make sure that a source is the address of a camera on a network.

    Files, devices and the service's own environment are for those who may write its file. This is
    no firewall: a camera may be on any host, this one too.

    Returns:
        The address, with its spaces encoded.

    Raises:
        SourceError: it is something else.
    """
    address = address_in(source)
    if len(source) > LONGEST or address is None or not source.isprintable():
        raise SourceError(
            f"{redact_argument(source[:100])!r} is no address of a camera: over the API it begins "
            f"with {', '.join(f'{scheme}://' for scheme in SCHEMES)}; files and devices are named "
            "in the configuration file"
        )
    if "${" in source:
        raise SourceError(
            "${VARIABLES} are the service's own: over the API give user and password in the "
            "address, or write the camera into the configuration file"
        )
    try:
        has_host = bool(urlsplit(address).hostname)
    except ValueError:
        has_host = False
    if not has_host:
        raise SourceError(f"{redact_argument(source)!r} names no host: write SCHEME://HOST/PATH")
    return address
