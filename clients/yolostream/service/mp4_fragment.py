"""Writes one H.264 picture as a fragment of an MP4 (ISO/IEC 14496-12, 8.8)."""

from __future__ import annotations

import re
import struct

_START_CODE = re.compile(rb"\x00{2,3}\x01")
# Flags of a sample: it depends on other samples (and is no sync sample), or on none.
_DELTA, _KEY = 0x01010000, 0x02000000
# The offset of the picture's data counts from the beginning of the fragment.
_DEFAULT_BASE_IS_MOOF = 0x020000
_HAS_OFFSET, _HAS_DURATION, _HAS_SIZE, _HAS_FLAGS = 0x1, 0x100, 0x200, 0x400


def fragment(picture: bytes, *, number: int, time: int, duration: int, is_key: bool) -> bytes:
    """Make a fragment with one picture of the first track.

    Args:
        picture: the encoded picture, with start codes (ISO/IEC 14496-10, annex B).
        number: number of the fragment; the first is 1.
        time: time of the picture, in units of the track's time base.
        duration: duration of the picture in the same units, if no other one follows.
        is_key: whether the picture can be decoded without earlier ones.
    """
    data = b"".join(struct.pack(">I", len(unit)) + unit for unit in _units(picture))
    # The offset of the data depends on the size of the head, which does not depend on the offset.
    head = _head(number, time, duration, is_key, size=len(data), offset=0)
    head = _head(number, time, duration, is_key, size=len(data), offset=len(head) + 8)
    return head + _box(b"mdat", data)


def _head(number: int, time: int, duration: int, is_key: bool, *, size: int, offset: int) -> bytes:
    flags = _HAS_OFFSET | _HAS_DURATION | _HAS_SIZE | _HAS_FLAGS
    sample = struct.pack(">IiIII", 1, offset, duration, size, _KEY if is_key else _DELTA)
    track = (
        _full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF, struct.pack(">I", 1)),
        _full_box(b"tfdt", 1, 0, struct.pack(">Q", time)),
        _full_box(b"trun", 0, flags, sample),
    )
    header = _full_box(b"mfhd", 0, 0, struct.pack(">I", number & 0xFFFFFFFF))
    return _box(b"moof", header + _box(b"traf", b"".join(track)))


def _units(picture: bytes) -> list[bytes]:
    """The NAL units of a picture, without their start codes."""
    return [unit for unit in _START_CODE.split(picture) if unit]


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _full_box(kind: bytes, version: int, flags: int, content: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags) + content)
