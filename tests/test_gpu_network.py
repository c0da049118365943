"""The batches of the network on a GPU; `test_launches.py` tests how they are split."""

from __future__ import annotations

import numpy as np
import pytest
from gpu import needs_gpu
from version_folder import part

pytestmark = needs_gpu

SHAPE, ROWS, MAX_BATCH = (3, 8, 8), 5, 16


class Adding:
    """A network whose output rows all contain the sum of the image."""

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs

    def launch(self, batch_size):
        self.outputs[:batch_size] = self.inputs[:batch_size].sum((1, 2, 3))[:, None, None]


@pytest.mark.parametrize("largest", [1, 8, 16])
@pytest.mark.parametrize("lengths", [[1], [3], [8], [8, 8], [1, 2, 5, 4], [16], [9], [2, 7]])
def test_every_request_gets_the_outputs_of_its_images(lengths, largest):
    import cupy

    inputs = cupy.zeros((largest, *SHAPE), np.float32)
    outputs = cupy.zeros((MAX_BATCH, ROWS, 6), np.float32)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    network = part("yolov7_fp16", "network").Network(
        Adding(inputs, outputs),
        inputs=inputs,
        outputs=outputs,
        batch_sizes=[size for size in (1, 2, 4, 8, 16) if size <= largest],
        stream=stream,
    )
    rng = np.random.default_rng(0)
    images = [rng.random((length, *SHAPE), np.float32) for length in lengths]
    sent = [cupy.asarray(batch) for batch in images]
    cupy.cuda.Device().synchronize()
    with stream:
        answers = network.run(sent)
        stream.synchronize()
    for batch, answer in zip(images, answers, strict=True):
        assert answer.shape == (len(batch), ROWS, 6)
        expected = batch.sum((1, 2, 3))[:, None, None]
        np.testing.assert_allclose(answer.get(), np.broadcast_to(expected, answer.shape), rtol=1e-5)
