"""Networks from tables, fusion of batch normalization, checkpoints and export."""

from __future__ import annotations

from pathlib import Path

import pytest
from needs import needs

needs("torch", variable="REQUIRE_TORCH")

import torch  # noqa: E402
from networks import random_network  # noqa: E402

from tools.errors import CheckpointError  # noqa: E402
from tools.yolov7 import Network, fuse_batch_norm, load_table, table_names  # noqa: E402
from tools.yolov7.checkpoint import Meta, load_checkpoint, save_checkpoint  # noqa: E402

DEMO = "yolov7-tiny-half"


def parameters(network: Network) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("yolov7", 37_620_125, 36_905_341), ("yolov7-tiny", 6_227_101, 6_219_709)],
)
def test_parameter_counts_are_the_published_ones(name: str, before: int, after: int) -> None:
    network = Network(load_table(name))
    assert parameters(network) == before
    assert parameters(fuse_batch_norm(network)) == after


def test_names_are_those_of_official_checkpoints() -> None:
    names = set(Network(load_table("yolov7")).state_dict())
    assert {
        "model.0.conv.weight",
        "model.0.bn.running_var",
        "model.51.cv7.bn.bias",
        "model.102.rbr_dense.0.weight",
        "model.104.rbr_1x1.1.running_mean",
        "model.105.m.2.bias",
        "model.105.anchors",
    } <= names


def test_an_unknown_table_is_refused_with_the_known_ones() -> None:
    assert DEMO in table_names()
    with pytest.raises(ValueError, match=DEMO):
        load_table("yolov9000")


@pytest.mark.parametrize("name", table_names())
def test_fusion_changes_only_rounding(name: str) -> None:
    network = random_network(name)
    plain = fuse_batch_norm(network)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected, actual = network.maps(images), plain.maps(images)
    for a, b in zip(expected, actual, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-4 * float(a.abs().max()))
    assert torch.nn.BatchNorm2d not in {type(module) for module in plain.modules()}


def test_rows_are_ordered_by_level_anchor_y_x() -> None:
    network = Network(load_table(DEMO)).eval()
    for conv in network.detect.m:
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    with torch.no_grad():
        output = network(torch.zeros(1, 3, 640, 640))[0]
    assert output.shape == (25200, 6)
    anchor, y, x, stride = 1, 7, 11, 16
    row = output[80 * 80 * 3 + anchor * 40 * 40 + y * 40 + x]
    width, height = network.table.anchors[1][anchor]
    center_x, center_y = (x + 0.5) * stride, (y + 0.5) * stride
    expected = [center_x - width / 2, center_y - height / 2, center_x + width / 2]
    assert row[:3].tolist() == pytest.approx(expected)
    assert row[4].item() == pytest.approx(0.25)


def test_class_channels_have_the_configured_ids() -> None:
    network = Network(load_table(DEMO)).eval()
    for conv in network.detect.m:
        torch.nn.init.zeros_(conv.weight)
        conv.bias.data.view(3, -1)[:, 5 + 3] = 2.0
    with torch.no_grad():
        classes = network(torch.zeros(1, 3, 64, 64))[0, :, 5]
    assert set(classes.tolist()) == {5.0}


def test_a_checkpoint_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    network, meta = random_network(DEMO), Meta(DEMO, 128, 1.5)
    save_checkpoint(tmp_path / "demo.pt", network, meta)
    loaded, loaded_meta = load_checkpoint(tmp_path / "demo.pt")
    assert loaded_meta == meta
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_other_files_are_refused(tmp_path: Path) -> None:
    torch.save({"model": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt"):
        load_checkpoint(tmp_path / "other.pt")
