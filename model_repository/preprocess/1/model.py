"""Frames of any size in, the detector's input out. The work is in `letterbox.py`."""

from __future__ import annotations

import json

import cv2
import numpy as np
import triton_python_backend_utils as pb_utils

from .letterbox import FrameError, check_frames, letterbox


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.image_shape = tuple(pb_utils.get_output_config_by_name(config, "images")["dims"])
        # Frames are small: waking a pool of threads for one costs more than it saves.
        cv2.setNumThreads(1)

    def execute(self, requests):
        """Letterbox the frames of all requests into one array, whatever their sizes."""
        batches = [pb_utils.get_input_tensor_by_name(r, "frames").as_numpy() for r in requests]
        errors = [_error_of(frames) for frames in batches]
        accepted = [frames for frames, error in zip(batches, errors) if error is None]
        images = np.empty((sum(map(len, accepted)), *self.image_shape), dtype=np.float32)
        places = np.empty((len(images), 4), dtype=np.float32)
        for row, frame in enumerate(frame for frames in accepted for frame in frames):
            places[row] = letterbox(frame, images[row])

        responses, start = [], 0
        for frames, error in zip(batches, errors):
            if error is not None:
                responses.append(pb_utils.InferenceResponse(error=error))
                continue
            rows = slice(start, start + len(frames))
            responses.append(
                pb_utils.InferenceResponse(
                    [
                        pb_utils.Tensor("images", images[rows]),
                        pb_utils.Tensor("letterbox", places[rows]),
                    ]
                )
            )
            start = rows.stop
        return responses


def _error_of(frames):
    try:
        check_frames(frames)
    except FrameError as error:
        return pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
    return None
