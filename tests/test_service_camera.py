"""What the service knows of a camera."""

from __future__ import annotations

from unittest import mock

import pytest
from yolostream.pipeline.status import Status
from yolostream.pipeline.timing import Durations
from yolostream.service.camera import Camera
from yolostream.service.recent_ages import SPAN_S
from yolostream.service.settings import CameraSettings
from yolostream.service.worker import Worker


def of_run(began_at: float, *ages_s: float) -> Status:
    ages = Durations()
    for age_s in ages_s:
        ages.add(age_s)
    return Status("street", began_at=began_at, result_ages=ages)


def test_ages_are_those_of_the_run_from_its_first_report_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = mock.Mock()
    monkeypatch.setattr("yolostream.service.camera.time", clock)
    task = CameraSettings(source="rtsp://192.0.2.1/stream").task("street", None)
    camera = Camera("street", task)
    camera.run_on(mock.Mock(spec=Worker))
    for now in (0.0, 10.0, SPAN_S + 20.0):
        clock.monotonic.return_value = now
        camera.note(of_run(1.0, 0.2, 0.2))
        if not now:
            assert camera.ages.percentile_s(50) == pytest.approx(0.2, rel=0.1)
    # Of another run, whose first report has more results than the one before had at its end.
    camera.note(of_run(2.0, 0.2, 0.2, 3.0))
    assert camera.ages.percentile_s(1) == pytest.approx(0.2, rel=0.1)
