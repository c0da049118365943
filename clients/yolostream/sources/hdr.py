"""Tone mapping: converts high dynamic range (HDR) to the standard range (SDR) of detectors."""

from __future__ import annotations

import tempfile
from fractions import Fraction

import av
import av.filter
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

_Values = npt.NDArray[np.float64]

_PQ, _HLG = 16, 18
"""Values of AVColorTransferCharacteristic, as in ISO/IEC 23091-2."""
_BT2020, _UNSPECIFIED = 9, 2
"""Values of AVColorSpace."""
_WHITE, _PEAK = 203.0, 1000.0
"""Luminances in candela per square metre. `_WHITE`, HDR's reference white (ITU-R BT.2408), becomes
SDR's white. Light brighter than `_PEAK`, the peak of HLG and of most PQ, is clipped."""
_SCREEN_GAMMA = 2.4
"""ITU-R BT.1886."""
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
"""For linear light, ITU-R BT.2087."""
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593])
"""Weights of red, green and blue, ITU-R BT.2020."""
# Size of the lookup table along each axis; FFmpeg interpolates between its points.
_POINTS = 33
_DEEP = "gbrp16le"


def is_hdr(transfer: int) -> bool:
    """Whether a transfer function (AVColorTransferCharacteristic) is PQ or HLG."""
    return transfer in (_PQ, _HLG)


class ToneMapper:
    """Converts the pictures of one stream from HDR to SDR.

    Args:
        transfer: the value of AVColorTransferCharacteristic, PQ's or HLG's.
    """

    def __init__(self, transfer: int) -> None:
        self.transfer = transfer
        self._reformatter = VideoReformatter()
        self._graph: av.filter.Graph | None = None
        self._size: tuple[int, int] | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame as rgb24, of the same size."""
        matrix = _BT2020 if frame.colorspace == _UNSPECIFIED else None
        deep = self._reformatter.reformat(frame, format=_DEEP, src_colorspace=matrix, threads=1)
        if self._graph is None or self._size != (deep.width, deep.height):
            self._size = deep.width, deep.height
            self._graph = _graph(self.transfer, *self._size)
        self._graph.vpush(deep)
        return self._graph.vpull()


def _graph(transfer: int, width: int, height: int) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat(_DEEP), time_base=Fraction(1)
    )
    with tempfile.NamedTemporaryFile("w", suffix=".cube") as cube:
        cube.write(f"LUT_3D_SIZE {_POINTS}\n")
        np.savetxt(cube, tone_mapped(_grid(), transfer), fmt="%.5f")
        cube.flush()
        table = graph.add("lut3d", file=cube.name)
    to_bytes, sink = graph.add("format", "rgb24"), graph.add("buffersink")
    source.link_to(table)
    table.link_to(to_bytes)
    to_bytes.link_to(sink)
    graph.configure()
    return graph


def _grid() -> _Values:
    """Every point of the lookup table, float64 [n, 3]; red varies fastest, as in a .cube file."""
    steps = np.linspace(0, 1, _POINTS)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    return np.stack([red, green, blue], axis=-1).reshape(-1, 3)


def tone_mapped(signal: _Values, transfer: int) -> _Values:
    """Convert an HDR signal in BT.2020 to an SDR signal in BT.709.

    Light up to two fifths of white is unchanged. Brighter light is compressed by the curve of
    ITU-R BT.2390, with one factor for all three colors, so that the hue stays the same.

    Args:
        signal: float [..., 3], red, green, blue of BT.2020, 0 to 1.
        transfer: the signal's AVColorTransferCharacteristic, PQ's or HLG's.

    Returns:
        Float [..., 3], red, green, blue of BT.709, 0 to 1.
    """
    shown = _pq_to_light(signal) if transfer == _PQ else _hlg_to_light(signal)
    light = np.clip(shown @ _BT2020_TO_BT709.T, 0, None)
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    light *= _compressed(brightest) / brightest
    values: _Values = np.clip(light / _WHITE, 0, 1) ** (1 / _SCREEN_GAMMA)
    return values


def _compressed(light: _Values) -> _Values:
    """ITU-R BT.2390's mapping of luminances up to `_PEAK` to luminances up to `_WHITE`."""
    white, peak = _light_to_pq(np.array([_WHITE, _PEAK]))
    white /= peak
    value = np.minimum(_light_to_pq(light) / peak, 1)
    knee = 1.5 * white - 0.5
    t = np.clip((value - knee) / (1 - knee), 0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * white
    )
    return _pq_to_light(np.where(value < knee, value, spline) * peak)


# SMPTE ST 2084, also ITU-R BT.2100: between candela per square metre and a signal of 0 to 1.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _pq_to_light(signal: _Values) -> _Values:
    root = signal ** (1 / _M2)
    return 10000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _light_to_pq(light: _Values) -> _Values:
    power = (light / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def _hlg_to_light(signal: _Values) -> _Values:
    """ITU-R BT.2100's HLG on a screen with a peak of `_PEAK`, for which the gamma is 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = (scene @ _LUMINANCE)[..., None]
    light: _Values = _PEAK * luminance**0.2 * scene
    return light
