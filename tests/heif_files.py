"""Writes HEIC and AVIF files like those of phones: tiled pictures with an orientation.

ISO/IEC 23008-12 (HEIF) and 14496-12 (the boxes).
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange
from clips import usual_scheduling

BT2020 = 9
"""A value of AVColorSpace."""
TILE = 128
"""Height and width of each tile in pixels."""

# Codec -> brand, item type of a tile, box of the decoder configuration, encoder, encoder's options.
_CODECS = {
    "heic": (
        "heic",
        "hvc1",
        "hvcC",
        "libx265",
        {"preset": "ultrafast", "x265-params": "log-level=none"},
    ),
    "avif": ("avif", "av01", "av1C", "libsvtav1", {"preset": "10", "svtav1-params": "avif=1"}),
}


def write_tiled(
    path: Path,
    image: npt.NDArray[Any],
    *,
    turns: int = 0,
    mirrored: bool = False,
    transfer: int | None = None,
    are_hidden: bool = True,
) -> Path:
    """Write a picture as tiles, in the format that the suffix of `path` names.

    Args:
        path: the file to write.
        image: uint8 [H, W, 3], RGB; with a `transfer` uint16, in BT.2020, which is written with 10
            bits.
        turns: quarter turns counterclockwise that make the picture upright.
        mirrored: whether left and right are swapped after that.
        transfer: AVColorTransferCharacteristic of an HDR picture; None for SDR.
        are_hidden: whether the tiles are hidden. Otherwise, each is a picture of the file, too.
    """
    brand, tile_type, config_name, encoder, options = _CODECS[
        "avif" if path.suffix == ".avif" else "heic"
    ]
    height, width = image.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    whole = np.pad(
        image, ((0, rows * TILE - height), (0, columns * TILE - width), (0, 0)), mode="edge"
    )
    tiles = [
        _encoded(whole[y : y + TILE, x : x + TILE], encoder, options)
        for y in range(0, rows * TILE, TILE)
        for x in range(0, columns * TILE, TILE)
    ]
    grid = len(tiles) + 1
    ids = range(1, grid)
    properties = [
        _box(config_name, tiles[0][0]),
        _full("ispe", struct.pack(">II", TILE, TILE)),
        _full("pixi", bytes([3, *[10 if transfer else 8] * 3])),
        _full("ispe", struct.pack(">II", width, height)),
        _box("irot", bytes([turns])),
        _box("imir", bytes([1])),
        # BT.2020's primaries, the transfer, BT.2020's matrix, limited range.
        _box("colr", b"nclx", struct.pack(">HHHB", 9, transfer or 1, 9, 0)),
    ]
    of_grid = [4, 3, *([7] if transfer else []), 0x80 | 5, *([0x80 | 6] if mirrored else [])]
    uses = {
        **{number: [0x80 | 1, 2, 3, *([7] if transfer else [])] for number in ids},
        grid: of_grid,
    }
    layout = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)

    def meta(start: int) -> bytes:
        places = [struct.pack(">HHHHII", grid, 1, 0, 1, 0, len(layout))]
        for number, (_, data) in zip(ids, tiles, strict=True):
            places.append(struct.pack(">HHHHII", number, 0, 0, 1, start, len(data)))
            start += len(data)
        infos = [_info(number, tile_type, hidden=are_hidden) for number in ids]
        return _full(
            "meta",
            _full("hdlr", bytes(4) + b"pict" + bytes(13)),
            _full("pitm", struct.pack(">H", grid)),
            _full("iinf", struct.pack(">H", grid), *infos, _info(grid, "grid")),
            _full("iref", _box("dimg", struct.pack(f">HH{len(ids)}H", grid, len(ids), *ids))),
            _box(
                "iprp",
                _box("ipco", *properties),
                _full(
                    "ipma",
                    struct.pack(">I", grid),
                    *(struct.pack(">HB", n, len(used)) + bytes(used) for n, used in uses.items()),
                ),
            ),
            _full("iloc", struct.pack(">HH", 0x4400, grid), *places, version=1),
            _box("idat", layout),
        )

    head = _box("ftyp", brand.encode(), bytes(4), b"mif1", brand.encode())
    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + _box("mdat", *(data for _, data in tiles)))
    return path


def _encoded(tile: npt.NDArray[Any], encoder: str, options: dict[str, str]) -> tuple[bytes, bytes]:
    """The decoder configuration and the data of one tile."""
    file = io.BytesIO()
    with usual_scheduling(), av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(encoder, rate=1, options=dict(options))
        is_deep = tile.dtype == np.uint16
        pix_fmt = "yuv420p10le" if is_deep else "yuv420p"
        stream.width, stream.height, stream.pix_fmt = TILE, TILE, pix_fmt
        stream.codec_context.color_range = ColorRange.MPEG
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(tile), format="rgb48le" if is_deep else "rgb24"
        )
        if is_deep:
            frame = frame.reformat(
                format=pix_fmt, dst_colorspace=BT2020, dst_color_range=ColorRange.MPEG
            )
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            packet.pts = packet.dts = 0
            container.mux(packet)
    file.seek(0)
    with av.open(file) as container:
        stream = container.streams.video[0]
        data = next(bytes(packet) for packet in container.demux(stream) if packet.size)
        assert stream.codec_context.extradata is not None
        return bytes(stream.codec_context.extradata), data


def _info(number: int, kind: str, *, hidden: bool = False) -> bytes:
    return _full(
        "infe", struct.pack(">HH", number, 0), kind.encode(), b"\0", version=2, flags=hidden
    )


def _full(name: str, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", version << 24 | flags), *content)


def _box(name: str, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", len(data) + 8, name.encode()) + data
