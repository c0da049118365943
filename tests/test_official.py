"""Official checkpoints: which are read, which are refused, and that none of their code is run."""

from __future__ import annotations

import os
import pickle
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import needs

needs("torch", variable="REQUIRE_TORCH")

import torch  # noqa: E402
from networks import random_network  # noqa: E402
from official_checkpoints import (  # noqa: E402
    fold_officially,
    forget_official_names,
    install_official_names,
    official_model,
    save,
    train_py_checkpoint,
)
from torch import nn  # noqa: E402

from tools.errors import CheckpointError  # noqa: E402
from tools.yolov7 import Network, fuse_batch_norm  # noqa: E402
from tools.yolov7.checkpoint import Meta, read_network, save_checkpoint  # noqa: E402

DATA = Path(__file__).parent / "data" / "official"
TINY = "yolov7-tiny"


@pytest.fixture(autouse=True)
def _official_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    install_official_names(monkeypatch, tmp_path_factory.mktemp("official"))
    yield
    forget_official_names(monkeypatch)


@pytest.fixture
def read_back(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], tuple[Network, tuple[str, ...]]]:
    """Read a file as if the official code were not installed."""

    def read(path: Path) -> tuple[Network, tuple[str, ...]]:
        forget_official_names(monkeypatch)
        return read_network(path)

    return read


def names(count: int) -> list[str]:
    return [f"kind {i}" for i in range(count)]


def detections(network: Network, *, side: int = 64) -> torch.Tensor:
    torch.manual_seed(1)
    with torch.no_grad():
        return fuse_batch_norm(network)(torch.rand(1, 3, side, side))


def halved(network: Network) -> Network:
    """A network with its weights rounded to half precision."""
    network.half().float()
    return network


def test_outputs_equal_those_of_the_official_code() -> None:
    network, labels = read_network(DATA / "yolov7-tiny-random.pt")
    pictures = np.load(DATA / "input.npz")["images_u8"].astype(np.float32) / 255
    expected = np.load(DATA / "yolov7-tiny-random.out6.npz")["out6"]
    with torch.no_grad():
        actual = fuse_batch_norm(network)(torch.from_numpy(pictures)).numpy()
    difference = np.abs(actual - expected)
    assert difference[..., :4].max() < 0.05
    assert difference[..., :4].mean() < 0.002
    assert difference[..., 4].max() < 5e-5
    assert np.array_equal(actual[..., 5], expected[..., 5])
    assert labels[:3] == ("person", "bicycle", "car")


@pytest.mark.parametrize("table", ["yolov7", TINY, "yolov7-tiny-silu"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_every_network_is_read_from_both_file_formats(table, zipped, tmp_path, read_back):
    network = random_network(table, classes=3)
    model = official_model(network, names(3))
    path = save(tmp_path / "best.pt", {"model": model, "epoch": -1}, zipped=zipped)
    loaded, labels = read_back(path)
    assert loaded.table.name == table
    assert labels == tuple(names(3))
    assert torch.equal(detections(loaded), detections(halved(network)))


def test_ema_is_preferred_to_model(tmp_path, read_back):
    last, averaged = random_network(TINY, classes=2), random_network(TINY, classes=2)
    with torch.no_grad():
        averaged.detect.m[0].bias += 1
    expected = detections(halved(averaged))
    checkpoint = train_py_checkpoint(
        official_model(last, names(2)), official_model(averaged, names(2))
    )
    loaded, _ = read_back(save(tmp_path / "last.pt", checkpoint))
    assert torch.equal(detections(loaded), expected)


def test_a_stripped_checkpoint_has_only_a_model(tmp_path, read_back):
    checkpoint = train_py_checkpoint(official_model(random_network(TINY), names(80)), None)
    _, labels = read_back(save(tmp_path / "best.pt", checkpoint))
    assert len(labels) == 80


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_implicit_layers_are_folded_into_the_head(zipped, tmp_path, read_back):
    network = random_network(TINY, classes=4)
    model = official_model(network, names(4), implicit=True, dtype=torch.float32)
    head = model.model[-1]
    features: list[torch.Tensor] = []
    network.detect.register_forward_pre_hook(lambda _, inputs: features.extend(inputs))
    torch.manual_seed(1)
    pictures = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        network.maps(pictures)
        expected = [
            head.im[i].implicit * conv(feature + head.ia[i].implicit)
            for i, (conv, feature) in enumerate(zip(head.m, features, strict=True))
        ]
        loaded, _ = read_back(save(tmp_path / "last.pt", {"ema": model}, zipped=zipped))
        actual = loaded.maps(pictures)
    for mine, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("head_is_folded", [True, False])
def test_networks_that_were_fused_before_they_were_saved_are_read(
    head_is_folded, tmp_path, read_back
):
    network = random_network("yolov7", classes=3)
    expected = detections(network)
    model = official_model(network, names(3), implicit=True, dtype=torch.float32)
    fold_officially(model, network)
    head = model.model[-1]
    if head_is_folded:
        head.forward = head.fuseforward
    else:
        for addend, factor in zip(head.ia, head.im, strict=True):
            addend.implicit.data.zero_()
            factor.implicit.data.fill_(1)
    loaded, _ = read_back(save(tmp_path / "folded.pt", {"model": model}))
    torch.testing.assert_close(detections(loaded), expected, rtol=1e-5, atol=1e-3)


def test_a_model_that_was_saved_alone_or_in_a_wrapper_is_read(tmp_path, read_back, monkeypatch):
    network = random_network(TINY, classes=2)
    model = official_model(network, names(2))
    alone = save(tmp_path / "alone.pt", model)
    wrapper = nn.DataParallel(model)
    # On a machine with GPUs, the wrapper has a device.
    wrapper.src_device_obj = torch.device("cuda:0")
    wrapped = save(tmp_path / "wrapped.pt", {"model": wrapper})
    expected = detections(halved(network))
    for path in (alone, wrapped):
        assert torch.equal(detections(read_back(path)[0]), expected)


def test_a_single_class_has_the_score_of_the_object(tmp_path, read_back):
    network = random_network(TINY, classes=1)
    loaded, _ = read_back(save(tmp_path / "one.pt", {"model": official_model(network, ["cat"])}))
    torch.manual_seed(1)
    pictures = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        rows = loaded(pictures)
        maps = loaded.maps(pictures)
    objectness = [level.view(1, 3, 6, -1)[:, :, 4].flatten() for level in maps]
    torch.testing.assert_close(rows[0, :, 4], torch.cat(objectness).sigmoid())
    assert not rows[..., 5].any()


def test_anchors_that_were_fitted_in_training_are_kept(tmp_path, read_back):
    network = random_network(TINY, classes=2)
    network.detect.anchors *= 1.5
    loaded, _ = read_back(save(tmp_path / "best.pt", {"model": official_model(network, names(2))}))
    assert torch.equal(loaded.detect.anchors, network.detect.anchors)
    assert loaded.table.anchors[0][0] == pytest.approx((15, 19.5))


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({i: f"kind {i}" for i in range(12)}, names(12)),
        ({str(i): f"kind {i}" for i in range(12)}, names(12)),
        (tuple(names(12)), names(12)),
        ({i + 1: f"kind {i}" for i in range(12)}, []),
        ([np.str_(f"kind {i}") for i in range(12)], []),
        (None, []),
    ],
    ids=["by number", "by text", "tuple", "from 1", "NumPy's text", "none"],
)
def test_class_names_are_in_order_or_missing(stated, expected, tmp_path, read_back):
    model = official_model(random_network(TINY, classes=12), names(12))
    model.names = stated
    loaded, labels = read_back(save(tmp_path / "best.pt", {"model": model}))
    assert list(labels) == expected
    assert len(loaded.table.class_ids) == 12


def test_anchors_are_read_from_the_tensor_that_the_official_code_uses(tmp_path, read_back):
    network = random_network(TINY, classes=2)
    model = official_model(network, names(2))
    # Half precision may round two copies of a number differently.
    model.model[77].anchor_grid[0] *= 1.001
    loaded, _ = read_back(save(tmp_path / "best.pt", {"model": model}))
    pixels = loaded.detect.anchors[0] * 8
    assert torch.equal(pixels, model.model[77].anchor_grid[0].float().reshape(3, 2))


def broken(change: Callable[[Any], object]) -> nn.Module:
    model = official_model(random_network(TINY, classes=2), names(2))
    change(model)
    return model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m.model[5].bn, "eps", 1e-5), r"model\.5\.bn .* eps 1e-05, must have 0"),
        (lambda m: setattr(m.model[9].act, "negative_slope", 0.2), r"model\.9\.act .* 0\.2"),
        (lambda m: setattr(m.model[9], "act", nn.SiLU()), r"model\.9\.act .* SiLU, must be Leaky"),
        (lambda m: setattr(m.model[0], "act", nn.ReLU()), r"activation is ReLU"),
        (lambda m: setattr(m.model[6], "f", [-4, -3, -2, -1]), r"row 6 .* of \[2, 3, 4, 5\]"),
        (lambda m: setattr(m.model[31].m, "kernel_size", 7), r"row 31 .* maxpool \[7, 1\]"),
        (lambda m: setattr(m.model[39], "mode", "bilinear"), r"model\.39 .* bilinear"),
        (lambda m: setattr(m.model[4].conv, "groups", 2), r"model\.4\.conv .* groups 2"),
        (lambda m: m.model.pop(76), r"has 77 rows|row 76"),
        (lambda m: setattr(m, "names", names(3)), "names 3 classes, but its head tells 2"),
        (lambda m: m.model[77].anchor_grid.mul_(1.01), "anchors of .* contradict"),
        (lambda m: setattr(m.model[77], "stride", torch.tensor([4.0, 8.0, 16.0])), "strides"),
        (lambda m: m.model[77].m[0].register_parameter("bias", None), r"model\.77\.m\.0\.bias"),
        (lambda m: m.model[3].register_buffer("extra", torch.ones(1)), r"model\.3\.extra"),
        (lambda m: setattr(m, "model", None), "without 'model'"),
    ],
)
def test_a_difference_from_the_table_is_named(change, message, tmp_path, read_back):
    path = save(tmp_path / "odd.pt", {"model": broken(change)})
    with pytest.raises(CheckpointError, match=message):
        read_back(path)


@pytest.mark.parametrize(
    ("layer", "family", "command"),
    [
        ("ReOrg", "a YOLOv7-W6, E6, D6 or E6E", "--grid --dynamic-batch --img-size 1280 1280'"),
        ("SPPF", "a YOLOv5", "python export.py --weights best.pt --include onnx"),
        ("ADown", "a YOLOv9", "python export.py --weights best.pt --include onnx"),
    ],
)
def test_networks_of_other_families_are_named_with_the_command_that_exports_them(
    layer, family, command, tmp_path, read_back
):
    def change(model: Any) -> None:
        model.model[0] = getattr(sys.modules["models.common"], layer)()

    path = save(tmp_path / "best.pt", {"model": broken(change)})
    with pytest.raises(CheckpointError, match=rf"{family}.*it has a layer {layer}.*{command}"):
        read_back(path)


def test_a_variant_of_yolov7_can_be_exported_by_its_own_code(tmp_path, read_back):
    path = save(tmp_path / "best.pt", {"model": broken(lambda m: m.model.pop(76))})
    with pytest.raises(CheckpointError, match=r"export it with 'python export.py .*--grid"):
        read_back(path)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        (
            "ultralytics.nn.tasks\nDetectionModel",
            "an Ultralytics checkpoint: .*'yolo export model=",
        ),
        ("yolox.models\nYOLOX", "export it to ONNX with the program that made it"),
    ],
)
def test_a_checkpoint_of_another_program_is_named_with_the_command_that_exports_it(
    name, what, tmp_path
):
    path = legacy(tmp_path / "best.pt", b"\x80\x02c" + name.encode() + b"\n.")
    shown_name = name.replace("\n", ".")
    with pytest.raises(
        CheckpointError, match=f"asks for {shown_name}, .*nothing of it was run: {what}"
    ):
        read_network(path)


def test_a_pickled_path_of_another_system_is_read(tmp_path, read_back):
    # ultralytics/yolov5#10240: cannot instantiate 'WindowsPath' on your system.
    checkpoint = train_py_checkpoint(official_model(random_network(TINY), names(80)), None)
    opt = pickle.dumps(Path("best.pt"), protocol=2)
    assert b"PosixPath" in opt
    _, labels = read_back(save(tmp_path / "best.pt", {**checkpoint, "opt": Path("best.pt")}))
    assert len(labels) == 80


def test_only_a_regular_file_is_replaced(tmp_path):
    os.mkfifo(tmp_path / "best.pt")
    with pytest.raises(OSError, match="it is a pipe"):
        save_checkpoint(tmp_path / "best.pt", random_network(TINY), Meta(TINY, 0, 0.0))
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.pt"]


class Malicious:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], tuple(self.call[1:])


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("function", [exec, __import__, eval])
def test_a_malicious_pickle_is_named_and_not_run(function, zipped, tmp_path):
    trace = tmp_path / "trace"
    code = f"open({str(trace)!r}, 'w')" if function is not __import__ else "this"
    path = save(tmp_path / "evil.pt", {"model": Malicious(function, code)}, zipped=zipped)
    with pytest.raises(CheckpointError, match=rf"asks for \w+\.{function.__name__}"):
        read_network(path)
    assert not trace.exists()


def legacy(path: Path, opcodes: bytes) -> Path:
    """Write a file of the older format with the given pickle."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    before = b"".join(pickle.dumps(part, protocol=2) for part in head)
    path.write_bytes(before + opcodes + pickle.dumps([], protocol=2))
    return path


def test_a_pickle_that_modifies_an_allowed_function_is_refused(tmp_path):
    target = tmp_path / "stolen"
    function = b"ctorch._utils\n_rebuild_tensor_v2\n"
    name = str(target).encode()
    state = b"}X\x0c\x00\x00\x00dump_patches\x88s"
    slots = b"}X\x08\x00\x00\x00__name__X" + len(name).to_bytes(4, "little") + name + b"s"
    module = b"(X\x06\x00\x00\x00moduleh\x00X\x01\x00\x00\x00aX\x04\x00\x00\x00texttQ"
    opcodes = b"\x80\x02" + function + b"q\x00" + state + slots + b"\x86b0" + module + b"."
    with pytest.raises(CheckpointError, match=r"evil\.pt"):
        read_network(legacy(tmp_path / "evil.pt", opcodes))
    assert [entry.name for entry in tmp_path.iterdir()] == ["evil.pt"]
    assert torch._utils._rebuild_tensor_v2.__name__ == "_rebuild_tensor_v2"
    assert not hasattr(torch._utils._rebuild_tensor_v2, "dump_patches")


def test_source_code_in_a_file_of_the_older_format_is_ignored(tmp_path):
    function = b"ctorch._utils\n_rebuild_tensor_v2\n"
    module = b"X\x01\x00\x00\x00aX\x04\x00\x00\x00texttQ"
    opcodes = b"\x80\x02(X\x06\x00\x00\x00module" + function + module + b"."
    with pytest.raises(CheckpointError, match="no network under"):
        read_network(legacy(tmp_path / "plain.pt", opcodes))


def test_a_bare_pickle_is_named_and_not_run(tmp_path):
    trace = tmp_path / "trace"
    evil = tmp_path / "evil.pt"
    evil.write_bytes(pickle.dumps(Malicious(exec, f"open({str(trace)!r}, 'w')"), protocol=2))
    with pytest.raises(CheckpointError, match=r"asks for \w+\.exec"):
        read_network(evil)
    assert not trace.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_truncated_file_is_no_checkpoint(share, zipped, tmp_path):
    model = official_model(random_network(TINY, classes=2), names(2))
    path = save(tmp_path / "cut.pt", {"model": model}, zipped=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"cut\.pt"):
        read_network(path)


def test_other_files_are_identified(tmp_path):
    text = tmp_path / "notes.pt"
    text.write_text("not a checkpoint")
    weights = save(tmp_path / "weights.pt", random_network(TINY).state_dict())
    archive = tmp_path / "archive.pt"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme", "hello")
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(archive.read_bytes().replace(b"PK\x01\x02", b"PK\x09\x09"))
    foreign = save(tmp_path / "foreign.pt", {"state_dict": {}, "meta": {"epoch": 1}})
    unknown = {"table": "yolov9000", "images_seen": 0, "minutes": 0.0}
    ours = save(tmp_path / "ours.pt", {"state_dict": {}, "meta": unknown})
    packed = tmp_path / "packed.pt"
    with tarfile.open(packed, "w") as file:
        file.add(text, "storages")
    program = tmp_path / "traced.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(nn.ReLU()), program)
    for path, message in (
        (text, "is not a checkpoint"),
        (weights, "no network under 'ema' or 'model'"),
        (archive, "zip archive: unpack it"),
        (damaged, "is not a checkpoint"),
        (foreign, "no network under 'ema' or 'model'"),
        (ours, "yolov9000"),
        (packed, "tar archive"),
        (program, "TorchScript"),
        (tmp_path / "missing.pt", "no file"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(CheckpointError, match=message):
            read_network(path)
