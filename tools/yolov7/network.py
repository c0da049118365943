"""Builds a network from its layer table."""

from __future__ import annotations

from torch import Tensor, nn

from tools.yolov7.blocks import SPPCSPC, Concat, Conv, RepConv, max_pool
from tools.yolov7.head import Detect
from tools.yolov7.table import Row, Table

PICTURE_CHANNELS = 3


class Network(nn.Module):
    """A detector of the YOLOv7 family.

    Its state dict has the names of official checkpoints: `model.<row>.conv.weight` and so on.
    """

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.table = table
        layers: list[nn.Module] = []
        channels: list[int] = []
        for row in table.rows:
            inputs = [PICTURE_CHANNELS if s < 0 else channels[s] for s in row.sources]
            layers.append(_layer(row, inputs, table))
            channels.append(_output_channels(row, inputs))
        self.model = nn.ModuleList(layers)

    def forward(self, images: Tensor) -> Tensor:
        """Detect objects.

        Args:
            images: Float [b, 3, H, W] RGB pictures, 0..1, letterboxed; H and W are multiples of 32.

        Returns:
            Float [b, N, 6] as `Detect.decode` describes it; N is 25200 for 640 x 640.
        """
        return self.detect.decode(self.maps(images))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Raw maps of all levels, float [b, anchors x fields, H / stride, W / stride]."""
        outputs: list[Tensor] = []
        for row, layer in zip(self.table.rows[:-1], self.model, strict=False):
            outputs.append(layer(*(images if s < 0 else outputs[s] for s in row.sources)))
        raw: list[Tensor] = self.detect(*(outputs[s] for s in self.table.rows[-1].sources))
        return raw

    @property
    def detect(self) -> Detect:
        """The detection head, which is the last row."""
        head = self.model[-1]
        assert isinstance(head, Detect)
        return head


def _layer(row: Row, inputs: list[int], table: Table) -> nn.Module:
    act = table.activation
    match row.kind, row.numbers:
        case "conv", (outputs, kernel, stride):
            return Conv(inputs[0], outputs, kernel, stride, act=act)
        case "repconv", (outputs, kernel, stride):
            return RepConv(inputs[0], outputs, kernel, stride, act=act)
        case "sppcspc", (outputs,):
            return SPPCSPC(inputs[0], outputs, act=act)
        case "maxpool", (kernel, stride):
            return max_pool(kernel, stride)
        case "upsample", ():
            return nn.Upsample(scale_factor=2, mode="nearest")
        case "concat", ():
            return Concat()
        case "detect", ():
            return Detect(inputs, table)
    raise ValueError(f"table {table.name!r} has a row it may not have: {row}")


def _output_channels(row: Row, inputs: list[int]) -> int:
    if row.kind in ("conv", "repconv", "sppcspc"):
        return row.numbers[0]
    return sum(inputs)
