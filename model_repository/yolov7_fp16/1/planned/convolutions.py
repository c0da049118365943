"""Describes a convolution to cuDNN, with its bias, its activation and an added map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import cudnn
from .cudnn import Context, Descriptor, Library
from .plan import Activation, Convolution, Plan, Slice

SOURCE, WEIGHT, BIAS, TARGET, ADDED = range(1, 6)
"""The numbers under which cuDNN gets the address of each tensor."""
_FIRST_VIRTUAL = 100


@dataclass(frozen=True)
class Map:
    """The shape of a slice in memory.

    Attributes:
        pitch: Distance from one pixel to the next, in channels: those of the whole buffer.
    """

    channels: int
    height: int
    width: int
    pitch: int


@dataclass(frozen=True)
class Spec:
    """Everything that decides how a convolution is computed. Equal specs share an execution plan.

    Attributes:
        batch: Number of images.
        filter: Height, width.
        strides: Vertical, horizontal.
        pads: Top, left, bottom, right.
        dilations: Vertical, horizontal.
        slope: Factor for negative values of the activation `leaky`.
        added: The map that is added at the end, if there is one.
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

    @property
    def products(self) -> int:
        """The number of multiplications."""
        pixels = self.batch * self.target.height * self.target.width
        return pixels * self.target.channels * self.filter_size

    @property
    def filter_size(self) -> int:
        """The number of weights for one output channel."""
        return self.filter[0] * self.filter[1] * self.source.channels


def spec_of(launch: Convolution, plan: Plan, batch: int) -> Spec:
    """The specification of a launch for a batch of this size."""
    return Spec(
        batch=batch,
        source=map_of(launch.source, plan),
        target=map_of(launch.target, plan),
        filter=(launch.weight.shape[1], launch.weight.shape[2]),
        strides=launch.strides,
        pads=launch.pads,
        dilations=launch.dilations,
        activation=launch.activation,
        slope=launch.slope,
        added=None if launch.added is None else map_of(launch.added, plan),
    )


def map_of(one: Slice, plan: Plan) -> Map:
    """The shape of a slice in memory."""
    buffer = plan.buffers[one.buffer]
    return Map(one.channels, buffer.height, buffer.width, buffer.channels)


def graph_of(context: Context, spec: Spec) -> Descriptor:
    """Make the operation graph of a convolution.

    Raises:
        CudnnError: cuDNN refuses an operation.
    """
    return context.graph(list(_Writer(context.library, spec).operations()))


class _Writer:
    def __init__(self, library: Library, spec: Spec) -> None:
        self._library, self._spec, self._next_virtual = library, spec, _FIRST_VIRTUAL

    def operations(self) -> Iterator[Descriptor]:
        spec = self._spec
        value = self._virtual()
        top, left, bottom, right = spec.pads
        yield cudnn.convolution(
            self._library,
            (self._map(SOURCE, spec.source), self._filter(), value),
            pads=((top, left), (bottom, right)),
            strides=spec.strides,
            dilations=spec.dilations,
        )
        steps = list(self._elementwise())
        for number, (mode, other, slope) in enumerate(steps, 1):
            target = self._map(TARGET, spec.target) if number == len(steps) else self._virtual()
            yield cudnn.pointwise(self._library, mode, value, target, other=other, slope=slope)
            value = target

    def _elementwise(self) -> Iterator[tuple[int, Descriptor | None, float | None]]:
        """What follows the convolution: the mode, the second operand and the slope of each step."""
        spec = self._spec
        yield cudnn.ADD, self._bias(), None
        modes = {"silu": cudnn.SWISH, "leaky": cudnn.RELU, "relu": cudnn.RELU}
        modes["sigmoid"] = cudnn.SIGMOID
        if spec.activation != "none":
            yield modes[spec.activation], None, spec.slope if spec.activation == "leaky" else None
        if spec.added is not None:
            yield cudnn.ADD, self._map(ADDED, spec.added), None

    def _map(self, uid: int, one: Map) -> Descriptor:
        strides = (one.height * one.width * one.pitch, 1, one.width * one.pitch, one.pitch)
        dimensions = (self._spec.batch, one.channels, one.height, one.width)
        return cudnn.tensor(self._library, uid, cudnn.DATA_HALF, dimensions, strides)

    def _filter(self) -> Descriptor:
        spec = self._spec
        (rows, columns), channels = spec.filter, spec.source.channels
        dimensions = (spec.target.channels, channels, rows, columns)
        strides = (spec.filter_size, 1, columns * channels, channels)
        return cudnn.tensor(self._library, WEIGHT, cudnn.DATA_HALF, dimensions, strides)

    def _bias(self) -> Descriptor:
        channels = self._spec.target.channels
        shape, strides = (1, channels, 1, 1), (channels, 1, channels, channels)
        return cudnn.tensor(self._library, BIAS, cudnn.DATA_FLOAT, shape, strides)

    def _virtual(self) -> Descriptor:
        """A float32 value between two operations, which is never in memory."""
        one = self._spec.target
        self._next_virtual += 1
        dimensions = (self._spec.batch, one.channels, one.height, one.width)
        row = one.width * one.channels
        strides = (one.height * row, 1, row, one.channels)
        return cudnn.tensor(
            self._library,
            self._next_virtual,
            cudnn.DATA_FLOAT,
            dimensions,
            strides,
            virtual=True,
        )
