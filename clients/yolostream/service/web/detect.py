"""A picture in; boxes, or the picture with boxes, out."""

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
from yolostream.service.web.context import InContext
from yolostream.service.web.places import Places
from yolostream.service.web.problems import Problem, of_server, responses
from yolostream.sources.still import picture_in, size_in

PATH = "/api/v1/detect"
MOST_BYTES = 32 * 1024 * 1024
MOST_PIXELS = 64_000_000
"""A picture is decoded whole: this is 200 MB."""
MOST_SIDE = 16_384
MOST_AT_ONCE = 4

_TYPES = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/avif", "image/*")
_JPEG = "image/jpeg"

# We look at the size ourselves, and before anything is decoded.
Pillow.MAX_IMAGE_PIXELS = None

router = APIRouter(tags=["detect"])
_places = Places(MOST_AT_ONCE, "detection")


class FoundObject(BaseModel):
    """One object."""

    class_id: int
    class_name: str = Field(alias="class")
    confidence: float
    box: list[float]
    """x1, y1, x2, y2 in pixels of the picture."""
    track_id: int | None


class FoundInPicture(BaseModel):
    """What was found, in the words of JSON Lines."""

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
    """Find the objects in a picture, which is the body: JPEG, PNG, WebP, HEIC, AVIF and others.

    With `Accept: image/jpeg` the answer is the picture with its boxes drawn.
    """
    with _places.taken():
        data = await request.body()
        frame = await run_in_threadpool(_frame, data)
        try:
            name = model or context.control.configuration.defaults.model
            found = await run_in_threadpool(context.ensembles.detector, name)
            return await run_in_threadpool(_answer, frame, found, confidence, _JPEG in accept)
        except YolostreamError as error:
            raise of_server(error) from None


def _frame(data: bytes) -> Frame:
    return Frame(_picture(data), 0, 0, Fraction(1))


def _picture(data: bytes) -> Image:
    size = size_in(data)
    if size is not None and (size[0] * size[1] > MOST_PIXELS or max(size) > MOST_SIDE):
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the picture has {size[1]}x{size[0]} pixels",
            f"send at most {MOST_PIXELS:,} pixels, and {MOST_SIDE:,} on a side",
            kind="too-many-pixels",
        )
    try:
        if size is None:
            # Nobody knows how many pixels it would become.
            raise SourceError("it is of no kind that is read here")
        return picture_in(data)
    except SourceError as error:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body ({len(data):,} bytes) is no picture that can be read: {error}",
            "send the bytes of a JPEG, PNG, WebP, HEIC or AVIF, and nothing around them",
            kind="no-picture",
        ) from error


def _answer(frame: Frame, detector: Detector, confidence: float, is_drawn: bool) -> Response:
    image: Image = frame.image  # type: ignore[assignment]  # it was read here
    found = DetectionFilter(confidence)(detector.detect(image))
    if is_drawn:
        return Response(jpeg_of(Annotator("").draw(image, found)), media_type=_JPEG)
    return Response(record_of(frame, found, source=""), media_type="application/json")
