"""What differs is changed while the service runs, and nobody else loses a frame."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from running import poll
from watching import Service, Site, street
from yolostream.server.embedded import EmbeddedTriton


@pytest.fixture
def site(tmp_path: Path, instant: EmbeddedTriton) -> Site:
    return Site(tmp_path, instant.url)


def check_none_missing(site: Site, service: Service, name: str) -> None:
    """All frames are there but for those that the machine was too slow for, which it counted."""
    camera = service.cameras()[name]
    frames = site.frames(name)
    assert frames == sorted(set(frames)), "it began anew"
    missing = frames[-1] - frames[0] + 1 - len(frames)
    assert missing <= sum(camera["dropped"].values())
    assert camera["reconnects"] == 0


def test_cameras_that_are_not_touched_lose_no_frame(site: Site) -> None:
    clip = str(street(site.folder))
    steady = {"source": clip}
    site.write({"steady": steady, "other": {"source": clip}})
    with site.running() as service:
        service.wait_for_frames("steady")
        changes: list[dict[str, object]] = [
            # Another one comes, one changes and is opened again, one changes as it runs, one goes.
            {"other": {"source": clip}, "third": {"source": clip}},
            {"other": {"source": clip, "stale_after": 3}, "third": {"source": clip}},
            {"other": {"source": clip, "confidence": 0.5}, "third": {"source": clip}},
            {"third": {"source": clip, "enabled": False}},
        ]
        for count, cameras in enumerate(changes, 1):
            site.write({"steady": steady, **cameras})
            service.wait_for("was read again", times=count)
            service.wait_for_frames("steady")
        assert set(service.cameras()) == {"steady", "third"}
        assert service.cameras()["third"]["state"] == "disabled"
        # Broken, and mended again.
        good = site.path.read_text()
        site.path.write_text(good.replace("enabled:", "enabld:"))
        assert "is it enabled?" in service.wait_for("stays as it was")
        service.wait_for_frames("steady")
        site.path.write_text(good)
        service.wait_for("was read again", times=len(changes) + 1)
        service.process.send_signal(signal.SIGHUP)
        assert "nothing differs" in service.wait_for("was read again", times=len(changes) + 2)
        service.wait_for_frames("steady")
        check_none_missing(site, service, "steady")
        # Were it begun anew, it would count from 0 again, over what was written before.
        assert site.frames("steady")[-1] >= 3 * (len(changes) + 2)
        assert [line.partition("steady: ")[2] for line in service.said if "steady: " in line] == [
            "waiting -> connecting",
            "connecting -> live",
        ]
        assert service.stop()[0] == 0


def test_what_is_looked_for_changes_from_one_frame_to_the_next(site: Site) -> None:
    clip = str(street(site.folder))
    site.write({"gate": {"source": clip}})
    with site.running() as service:
        service.wait_for_frames("gate")
        for count, settings in enumerate(
            [{"confidence": 1.0}, {"classes": [0]}, {"max_age": 5.0}, {"fps": 1000}], 1
        ):
            site.write({"gate": {"source": clip, **settings}})
            assert "changed gate" in service.wait_for("was read again", times=count)
            service.wait_for_frames("gate")
        check_none_missing(site, service, "gate")
        assert not [line for line in service.said if "live -> " in line]


def test_fewer_frames_are_looked_at_where_fewer_are_wanted(site: Site) -> None:
    site.write({"gate": {"source": str(street(site.folder)), "fps": 2.5}})
    with site.running() as service:
        service.wait_for_frames("gate", 5)
    frames = site.frames("gate")
    # The clip has ten a second, and begins again every two seconds.
    assert [frame % 20 for frame in frames[:5]] == [0, 4, 8, 12, 16]


def test_a_file_that_is_older_than_before_counts_too(site: Site) -> None:
    clip = str(street(site.folder))
    site.write({"gate": {"source": clip}})
    with site.running() as service:
        service.wait_for_frames("gate")
        site.write({"gate": {"source": clip}, "yard": {"source": clip}})
        # As if the clock had been set back by an hour.
        os.utime(site.path, (1_000_000_000, 1_000_000_000))
        service.wait_for("added yard")
        service.wait_for_frames("yard")


def test_a_service_may_begin_with_no_camera(site: Site) -> None:
    site.write({})
    with site.running() as service:
        service.wait_for("there are no cameras")
        assert service.cameras() == {}
        site.write({"gate": {"source": str(street(site.folder))}})
        poll(lambda: "gate" in service.cameras(), what="the camera")
        service.wait_for_frames("gate")
