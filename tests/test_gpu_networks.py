"""The program that compares ways to compute the network: what needs no GPU."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from repository import ROOT

SERVER_SIDE = ROOT.parent / "loadtest" / "gpu" / "server_side"


@pytest.fixture
def networks(monkeypatch):
    """Imported as it runs: what lies beside it is found."""
    monkeypatch.syspath_prepend(str(SERVER_SIDE))
    import networks

    yield networks
    for name in ("networks", "model_code"):
        sys.modules.pop(name, None)


def test_chained_pools_compute_the_same(networks):
    model = onnx.load(ROOT / "yolov7_fp16" / "1" / "model.onnx")
    picture = np.random.default_rng(0).random((1, 3, 640, 640), dtype=np.float32)

    def rows():
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return session.run(["output"], {"input": picture})[0]

    def sides():
        pools = [node for node in model.graph.node if node.op_type == "MaxPool"]
        return sorted(
            next(a.ints[0] for a in one.attribute if a.name == "kernel_shape") for one in pools
        )

    expected = rows()
    assert sides() == [2, 2, 2, 5, 9, 13]
    networks.chained(model)
    assert sides() == [2, 2, 2, 5, 5, 5]
    np.testing.assert_array_equal(rows(), expected)


def test_a_way_may_have_its_own_sizes(networks):
    assert networks._way("planned", [1, 2]) == ("planned", [1, 2])
    assert networks._way("torch:1,16", [1, 2]) == ("torch", [1, 16])
    with pytest.raises(SystemExit, match="no way 'other'"):
        networks._way("other", [1])


def test_what_fails_is_told_and_leaves_the_others_alone(networks):
    facts = {}
    with networks._caught(facts, "planned"):
        raise ValueError("no engine")
    assert facts["error"] == "ValueError: no engine"
    assert any("test_what_fails" in line for line in facts["error_trace"])
