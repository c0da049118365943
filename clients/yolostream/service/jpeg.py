"""Pictures for browsers."""

from __future__ import annotations

import cv2

from yolostream.image import Image

QUALITY = 85


def jpeg_of(image: Image) -> bytes:
    """A JPEG of a picture, uint8 [H, W, 3], RGB, of at most 65,500 pixels on a side."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
