"""Endpoint that detects objects in a picture."""

from __future__ import annotations

from fractions import Fraction
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from PIL import Image as Pillow
from pydantic import BaseModel, Field

from yolostream.client.detector import Detector
from yolostream.errors import SourceError, YolostreamError
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.jsonl import record_of
from yolostream.pipeline.drawing import Annotator
from yolostream.pipeline.filters import DetectionFilter
from yolostream.service.jpeg import jpeg_of
from yolostream.service.web.concurrency_limit import ConcurrencyLimit
from yolostream.service.web.context import InContext
from yolostream.service.web.problems import Problem, of_server, responses
from yolostream.sources.still import picture_in, size_in

PATH = "/api/v1/detect"
MAX_BYTES = 32 * 1024 * 1024
"""Largest body."""
MAX_PIXELS = 64_000_000
"""Largest picture. Its decoded pixels take 200 MB."""
MAX_SIDE = 16_384
"""Largest width and height in pixels."""
MAX_CONCURRENT = 4
"""Requests that are handled at the same time."""

_TYPES = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/avif", "image/*")
_JPEG = "image/jpeg"

# The size is checked here, before anything is decoded.
Pillow.MAX_IMAGE_PIXELS = None

router = APIRouter(tags=["detect"])
_limit = ConcurrencyLimit(MAX_CONCURRENT, "detection")


class FoundObject(BaseModel):
    """One detected object."""

    class_id: int
    class_name: str = Field(alias="class")
    confidence: float
    box: list[float]
    """Left, top, right and bottom edge in pixels of the picture."""
    track_id: int | None


class FoundInPicture(BaseModel):
    """Detected objects, with the keys of a record of JSON Lines."""

    source: str
    frame: int
    pts_seconds: float
    width: int
    height: int
    detections: list[FoundObject]


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _TYPES},
    }
}


@router.post(
    PATH,
    openapi_extra=_BODY,
    response_model=FoundInPicture,
    responses={
        200: {"content": {_JPEG: {"schema": {"type": "string", "format": "binary"}}}},
        **responses(
            HTTPStatus.NOT_FOUND,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.BAD_GATEWAY,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.GATEWAY_TIMEOUT,
        ),
    },
)
async def detect(
    request: Request,
    context: InContext,
    model: Annotated[str | None, Query(max_length=200)] = None,
    confidence: Annotated[float, Query(ge=0, le=1)] = 0.0,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Detect objects in a picture. The body is a JPEG, PNG, WebP, HEIC, AVIF or similar file.

    With `Accept: image/jpeg`, the response is the picture with the boxes drawn.
    """
    with _limit.slot():
        data = await request.body()
        frame = await run_in_threadpool(_frame, data)
        try:
            name = model or context.control.configuration.defaults.model
            detector = await run_in_threadpool(context.ensembles.detector, name)
            is_drawn = _JPEG in accept
            return await run_in_threadpool(_respond, frame, detector, confidence, is_drawn)
        except YolostreamError as error:
            raise of_server(error) from None


def _frame(data: bytes) -> Frame:
    return Frame(_picture(data), 0, 0, Fraction(1))


def _picture(data: bytes) -> Image:
    size = size_in(data)
    if size is not None and (size[0] * size[1] > MAX_PIXELS or max(size) > MAX_SIDE):
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the picture has {size[1]}x{size[0]} pixels",
            f"send at most {MAX_PIXELS:,} pixels, and at most {MAX_SIDE:,} on each side",
            kind="too-many-pixels",
        )
    try:
        if size is None:
            # Without the size, the memory for decoding is unknown.
            raise SourceError("unknown format")
        return picture_in(data)
    except SourceError as error:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body ({len(data):,} bytes) cannot be read as a picture: {error}",
            "send the bytes of a JPEG, PNG, WebP, HEIC or AVIF file as the body, without a form",
            kind="no-picture",
        ) from error


def _respond(frame: Frame, detector: Detector, confidence: float, is_drawn: bool) -> Response:
    image: Image = frame.image  # type: ignore[assignment]  # a decoded picture is in host memory
    found = DetectionFilter(confidence)(detector.detect(image))
    if is_drawn:
        return Response(jpeg_of(Annotator("").draw(image, found)), media_type=_JPEG)
    return Response(record_of(frame, found, source=""), media_type="application/json")
