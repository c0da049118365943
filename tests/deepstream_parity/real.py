"""The results of DeepStream 9.1 with these configurations: 300 frames of mb1_1 on an H100."""

from __future__ import annotations

SHARES = {
    "A": {0: 0.520, 1: 0.332, 2: 0.840, 3: 0.862, 4: 0.789, 5: 0.501},
    "B shrunk": {0: 0.577, 1: 0.356, 2: 0.914, 3: 0.940, 4: 0.865, 5: 0.568},
    "B": {0: 0.994, 1: 0.734, 2: 0.994, 4: 0.994, 5: 0.994},
}
"""Mode, then `frame_scaling_filter`: share of boxes with an IoU of 0.95 or more to the client's.

Filter 3 ended DeepStream in mode B, where nothing shrinks.
"""

SHARES_1080P = {
    "A": {1: 0.310, 2: 0.847, 3: 0.790},
    "B shrunk": {1: 0.341, 2: 0.920, 3: 0.863},
}
"""The same for a 1920x1080 source."""

BILINEAR_SHIFTS = {"A": 1.0, "B shrunk": 1.0, "B": 0.5}
"""Pixels by which filter 1 shifts boxes to the right and down, at 1280x720."""
