"""Convolutions as cuDNN's graphs: with bias, activation and an added map in one kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from . import cudnn
from .cudnn import Context, Descriptor, Library
from .plan import Activation, Convolution, Plan, Slice
from .precision import Kind, Precision

SOURCE, WEIGHT, BIAS, TARGET, ADDED, FACTORS, QUOTIENT = range(1, 8)
"""By which addresses are given."""
_VIRTUAL = 100

_DATA = {"half": cudnn.DATA_HALF, "float8": cudnn.DATA_FLOAT8}


@dataclass(frozen=True)
class Map:
    """Maps of a batch.

    Attributes:
        pitch: Channels from pixel to pixel.
    """

    channels: int
    height: int
    width: int
    pitch: int
    kind: Kind


@dataclass(frozen=True)
class Spec:
    """All that decides how a convolution is computed, save for addresses.

    Attributes:
        filter: Height and width.
        added: Whose values are added, if any are.
        fused: Whether bias, activation and the added map are part of it.
    """

    batch: int
    source: Map
    target: Map
    filter: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    activation: Activation
    slope: float
    added: Map | None
    fused: bool = True


def spec_of(launch: Convolution, plan: Plan, precision: Precision, batch: int) -> Spec:
    """The specification of a launch."""
    added = None if launch.added is None else map_of(launch.added, plan, precision)
    return Spec(
        batch=batch,
        source=map_of(launch.source, plan, precision),
        target=map_of(launch.target, plan, precision),
        filter=(launch.weight.shape[1], launch.weight.shape[2]),
        strides=launch.strides,
        pads=launch.pads,
        dilations=launch.dilations,
        activation=launch.activation,
        slope=launch.slope,
        added=added,
    )


def alone(spec: Spec) -> Spec:
    """Only the convolution, into memory without gaps: cuDNN copies maps with gaps for it."""
    packed = replace(spec.target, pitch=spec.target.channels)
    return replace(spec, target=packed, added=None, activation="none", fused=False)


def map_of(one: Slice, plan: Plan, precision: Precision) -> Map:
    """A slice as maps."""
    buffer, kind = plan.buffers[one.buffer], precision.kinds[one.buffer]
    return Map(one.channels, buffer.height, buffer.width, buffer.channels, kind)


def graph_of(context: Context, spec: Spec) -> Descriptor:
    """The operations of a convolution.

    Raises:
        CudnnError: cuDNN does not take them.
    """
    return context.graph(list(_Writer(context.library, spec).operations()))


class _Writer:
    def __init__(self, library: Library, spec: Spec) -> None:
        self._library, self._spec, self._virtual = library, spec, _VIRTUAL

    def operations(self) -> Iterator[Descriptor]:
        spec = self._spec
        source = self._map(SOURCE, spec.source)
        weight = self._filter()
        steps = list(self._steps()) if spec.fused else []
        value = self._between() if steps else self._map(TARGET, spec.target)
        top, left, bottom, right = spec.pads
        yield cudnn.convolution(
            self._library,
            (source, weight, value),
            pads=((top, left), (bottom, right)),
            strides=spec.strides,
            dilations=spec.dilations,
        )
        for number, (mode, other, slope) in enumerate(steps, 1):
            target = self._map(TARGET, spec.target) if number == len(steps) else self._between()
            yield cudnn.pointwise(self._library, mode, value, target, other=other, slope=slope)
            value = target

    def _steps(self) -> Iterator[tuple[int, Descriptor | None, float | None]]:
        """Elementwise operations: mode, second operand, slope."""
        spec = self._spec
        if spec.source.kind == "float8":
            yield cudnn.MUL, self._vector(FACTORS, spec.target.channels), None
        yield cudnn.ADD, self._vector(BIAS, spec.target.channels), None
        modes = {"silu": cudnn.SWISH, "leaky": cudnn.RELU, "relu": cudnn.RELU}
        modes["sigmoid"] = cudnn.SIGMOID
        if spec.activation != "none":
            slope = spec.slope if spec.activation == "leaky" else None
            yield modes[spec.activation], None, slope
        if spec.added is not None:
            yield cudnn.ADD, self._map(ADDED, spec.added), None
        if spec.target.kind == "float8":
            yield cudnn.MUL, self._vector(QUOTIENT, 1), None

    def _map(self, uid: int, one: Map) -> Descriptor:
        strides = (one.height * one.width * one.pitch, 1, one.width * one.pitch, one.pitch)
        dimensions = (self._spec.batch, one.channels, one.height, one.width)
        return cudnn.tensor(self._library, uid, _DATA[one.kind], dimensions, strides)

    def _filter(self) -> Descriptor:
        (rows, columns), spec = self._spec.filter, self._spec
        channels = spec.source.channels
        dimensions = (spec.target.channels, channels, rows, columns)
        strides = (rows * columns * channels, 1, columns * channels, channels)
        return cudnn.tensor(self._library, WEIGHT, _DATA[spec.source.kind], dimensions, strides)

    def _vector(self, uid: int, channels: int) -> Descriptor:
        shape, strides = (1, channels, 1, 1), (channels, 1, channels, channels)
        return cudnn.tensor(self._library, uid, cudnn.DATA_FLOAT, shape, strides)

    def _between(self) -> Descriptor:
        one = self._spec.target
        self._virtual += 1
        dimensions = (self._spec.batch, one.channels, one.height, one.width)
        wide = one.width * one.channels
        strides = (one.height * wide, 1, wide, one.channels)
        return cudnn.tensor(
            self._library, self._virtual, cudnn.DATA_FLOAT, dimensions, strides, virtual=True
        )
