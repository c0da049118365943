"""JPEG pictures for browsers."""

from __future__ import annotations

import cv2

from yolostream.image import Image

QUALITY = 85


def jpeg_of(image: Image) -> bytes:
    """Encode a picture, uint8 [H, W, 3], RGB, whose sides have at most 65,500 pixels."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
