"""Fetch the official YOLOv7 weights from their release page. Broken downloads can be resumed."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from tools.command import one_line_errors
from tools.digest import sha256_of
from tools.errors import DownloadError

RELEASE = "https://github.com/WongKinYiu/yolov7/releases/download/v0.1"
SIZES = {"yolov7": 75_587_165, "yolov7-tiny": 12_639_769}
"""Sizes in bytes of the files NAME.pt of the release."""

_LICENSE = "license GPL-3.0, that of https://github.com/WongKinYiu/yolov7"
_TIMEOUT_S = 30.0
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Record:
    """The content of the JSON file beside the weights.

    Attributes:
        url: Address that the weights were fetched from; None if they were put there by hand.
        bytes: Size of the weights.
        sha256: SHA-256 of the weights when the record was written, in hexadecimal.
        time: When the record was written, ISO 8601, UTC.
    """

    url: str | None
    bytes: int
    sha256: str
    time: str


def fetch(name: str, folder: Path, *, release: str = RELEASE) -> tuple[Path, Record]:
    """Fetch an official checkpoint unless it is there, and write its record.

    The release publishes no checksum. So the SHA-256 is recorded at the first download, and checked
    afterwards.

    Args:
        name: A key of `SIZES`.
        folder: Target folder, which is made if it is missing. A partial download is kept there as
            `NAME.pt.partial`.
        release: HTTP address that the file name is appended to.

    Returns:
        The checkpoint `NAME.pt` and its record.

    Raises:
        DownloadError: The file cannot be fetched or written, or has the wrong size or SHA-256.
    """
    target = folder / f"{name}.pt"
    url = f"{release.rstrip('/')}/{target.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists():
            _check_size(target, SIZES[name])
            return target, _recorded(target, sidecar=_sidecar(target), url=None)
        partial = _download(url, target, SIZES[name])
        record = _recorded(partial, sidecar=_sidecar(target), url=url)
        os.replace(partial, target)
    except OSError as error:
        raise DownloadError(f"cannot write {target}: {error}") from error
    return target, record


def _sidecar(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _check_size(target: Path, size: int) -> None:
    if (actual := target.stat().st_size) != size:
        raise DownloadError(
            f"{target} has {actual:,} bytes, the official file {size:,}: move it away"
        )


def _recorded(file: Path, *, sidecar: Path, url: str | None) -> Record:
    """Check a file against its record, or write the record if there is none."""
    digest = sha256_of(file)
    if not sidecar.exists():
        time = datetime.now(UTC).isoformat(timespec="seconds")
        record = Record(url, file.stat().st_size, digest, time)
        sidecar.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
        return record
    try:
        record = Record(**json.loads(sidecar.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DownloadError(f"{sidecar} is not a record of a download: remove it") from error
    if digest != record.sha256:
        raise DownloadError(
            f"{file} has SHA-256 {digest}, but {sidecar} of {record.time} says {record.sha256}: "
            f"remove {file} to fetch it again, or {sidecar} to take it as it is"
        )
    return record


def _download(url: str, target: Path, size: int) -> Path:
    """Download the rest of `NAME.pt.partial`, or all of it."""
    partial = target.with_name(f"{target.name}.partial")
    have = partial.stat().st_size if partial.exists() else 0
    if have == size:
        return partial
    if have > size:
        have = 0
    with _open(url, target, have=have, size=size) as response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0  # The server ignores ranges, and sends the whole file.
        with partial.open("ab" if have else "wb") as file, _progress() as progress:
            bar = progress.add_task(target.name, total=size, completed=have)
            for chunk in _chunks(response, url, have=have, size=size):
                file.write(chunk)
                progress.advance(bar, len(chunk))
    return partial


def _open(url: str, target: Path, *, have: int, size: int) -> http.client.HTTPResponse:
    """Request the bytes from `have` on, and check the file's size in the response."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise DownloadError(
            f"cannot fetch {url} ({error}): download it by hand, {size:,} bytes, and put it at "
            f"{target}"
        ) from error
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        offered, expected = response.headers["Content-Range"], f"bytes {have}-{size - 1}/{size}"
    else:
        offered, expected = response.headers["Content-Length"], str(size)
    if offered not in (None, expected):
        response.close()
        raise DownloadError(
            f"{url} is not the official file: it offers '{offered}', expected was '{expected}'"
        )
    return response


def _chunks(
    response: http.client.HTTPResponse, url: str, *, have: int, size: int
) -> Iterator[bytes]:
    """Yield the parts of the response until there are `size` bytes in all."""
    reason: object = "the connection ended"
    try:
        while have < size and (chunk := response.read(min(_CHUNK, size - have))):
            have += len(chunk)
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        reason = error
    if have < size:
        raise DownloadError(
            f"the download of {url} stopped at {have:,} of {size:,} bytes ({reason}): run this "
            "again to resume it"
        )


def _progress() -> Progress:
    return Progress(
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.fetch_weights", description=__doc__)
    add = parser.add_argument
    add("name", choices=SIZES, help="which network")
    add("--output", type=Path, default=Path("weights"), help="folder to write to")
    add("--mirror", default=RELEASE, metavar="URL", help="address of a mirror of the release")
    options = parser.parse_args(argv)
    if not options.mirror.startswith(("http://", "https://")):
        parser.error(f"--mirror must begin with http:// or https://, is {options.mirror}")
    return options


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _arguments(argv)
    with one_line_errors():
        try:
            target, record = fetch(options.name, options.output, release=options.mirror)
        except KeyboardInterrupt:
            print("the partial download is kept: run this again to resume it", file=sys.stderr)
            raise
    print(target)
    print(f"SHA-256 {record.sha256}, {_origin(record)}; the release publishes none to compare with")
    print(_LICENSE)


def _origin(record: Record) -> str:
    if record.url is None:
        return f"put there by hand, recorded {record.time}"
    return f"recorded when it was fetched from {record.url} at {record.time}"


if __name__ == "__main__":
    main()
