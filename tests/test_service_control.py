"""Who may change the cameras of a service, and what comes of it."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from yolostream.errors import ServiceError, SourceError
from yolostream.service import configuration_file
from yolostream.service.control import Control
from yolostream.service.events import Event, Events
from yolostream.service.runtime_store import RuntimeStore
from yolostream.service.settings import CameraSettings, Configuration

GATE = "rtsp://192.0.2.1/stream1"
YARD = "rtsp://192.0.2.2/stream1"


class Recorder:
    """Takes the place of a service: what it was told, in words."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.told: list[str] = []

    def put(self, name: str, task: object, *, enabled: bool) -> None:
        self.told.append(f"put {name}" if enabled else f"pause {name}")

    def remove(self, name: str) -> None:
        self.told.append(f"remove {name}")

    def heard(self) -> list[str]:
        told, self.told = self.told, []
        return told


class Site:
    """A cameras.yaml, and a service that is started with it again and again."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cameras.yaml"
        self.store = RuntimeStore(folder / "runtime.yaml")
        self.events = Events()
        self.service = Recorder(self.events)

    def write(self, *cameras: str, more: str = "") -> None:
        self.path.write_text("\n".join([more, "cameras:", *(f"  {line}" for line in cameras), ""]))

    def started(self) -> Control:
        self.service = Recorder(self.events)
        configuration = configuration_file.read(self.path)
        return Control(
            self.service,  # type: ignore[arg-type]
            configuration,
            path=self.path,
            store=self.store,
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.write(f"gate: {{source: '{GATE}'}}", f"yard: {{source: '{YARD}'}}")
    return site


def test_of_two_reloads_at_once_the_later_file_is_in_force(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = site.started()
    read, began, resumed = configuration_file.read, threading.Event(), threading.Event()

    def read_slowly(path: Path) -> Configuration:
        configuration = read(path)
        if not began.is_set():
            began.set()
            resumed.wait(0.5)
        return configuration

    monkeypatch.setattr(configuration_file, "read", read_slowly)
    earlier = threading.Thread(target=control.reload)
    earlier.start()
    assert began.wait(30)
    site.write(f"door: {{source: '{YARD}'}}")
    control.reload()
    resumed.set()
    earlier.join()
    assert list(control.settings()) == ["door"]


def test_a_reload_touches_only_what_differs(site: Site) -> None:
    control = site.started()
    assert site.service.heard() == ["put gate", "put yard"]
    site.write(
        f"gate: {{source: '{GATE}'}}",
        f"door: {{source: '{YARD}'}}",
    )
    changes = control.reload()
    assert (changes.added, changes.removed, changes.untouched) == (("door",), ("yard",), ("gate",))
    assert sorted(site.service.heard()) == ["put door", "remove yard"]
    site.write(f"gate: {{source: '{GATE}'}}", f"door: {{source: '{YARD}', enabled: false}}")
    assert control.reload().changed == ("door",)
    assert site.service.heard() == ["pause door"]


def test_defaults_hold_for_those_that_say_nothing_else(site: Site) -> None:
    site.write(
        f"gate: {{source: '{GATE}'}}",
        f"yard: {{source: '{YARD}', confidence: 0.9}}",
        more="defaults: {confidence: 0.5, track: false}",
    )
    control = site.started()
    assert {name: one.confidence for name, one in control.settings().items()} == {
        "gate": 0.5,
        "yard": 0.9,
    }
    site.service.heard()
    site.write(
        f"gate: {{source: '{GATE}'}}",
        f"yard: {{source: '{YARD}', confidence: 0.9}}",
        more="defaults: {confidence: 0.6, track: false}",
    )
    assert control.reload().changed == ("gate",)
    assert site.service.heard() == ["put gate"]


def test_changes_over_the_api_survive_a_restart(site: Site, tmp_path: Path) -> None:
    control = site.started()
    control.put("door", CameraSettings(source=GATE))
    change = control.put("gate", CameraSettings(source=GATE, confidence=0.7))
    assert (change.kind, change.keys) == ("changed", ("confidence",))
    control.remove("yard")
    control = site.started()
    assert {name: one.confidence for name, one in control.settings().items()} == {
        "gate": 0.7,
        "door": 0.0,
    }
    assert stat.S_IMODE((tmp_path / "runtime.yaml").stat().st_mode) == 0o600


def test_the_later_of_both_counts(site: Site) -> None:
    control = site.started()
    control.put("gate", CameraSettings(source=GATE, confidence=0.7))
    control.remove("yard")
    # Of another camera: both changes hold.
    site.write(
        f"gate: {{source: '{GATE}'}}",
        f"yard: {{source: '{YARD}'}}",
        f"door: {{source: '{YARD}'}}",
    )
    control.reload()
    assert control.settings()["gate"].confidence == 0.7
    assert "yard" not in control.settings()
    # Of the same, while the service does not run.
    site.write(f"gate: {{source: '{GATE}', confidence: 0.2}}", f"yard: {{source: '{GATE}'}}")
    control = site.started()
    assert control.settings()["gate"].confidence == 0.2
    assert control.settings()["yard"].source == GATE


def test_a_camera_that_is_put_back_as_the_file_says_follows_the_file_again(site: Site) -> None:
    control = site.started()
    control.put("gate", CameraSettings(source=GATE, confidence=0.7))
    control.put("gate", CameraSettings(source=GATE))
    assert RuntimeStore.load(site.store) == {}


def test_a_value_that_is_usual_elsewhere_wins_over_the_defaults(site: Site) -> None:
    site.write(f"gate: {{source: '{GATE}'}}", more="defaults: {confidence: 0.5}")
    control = site.started()
    assert control.put("gate", CameraSettings(source=GATE, confidence=0.0)).kind == "changed"
    assert control.settings()["gate"].confidence == 0.0
    assert site.started().settings()["gate"].confidence == 0.0


def test_the_same_again_changes_nothing(site: Site) -> None:
    control = site.started()
    site.service.heard()
    before = control.version("gate")
    assert control.put("gate", CameraSettings(source=GATE)).kind == "untouched"
    assert control.version("gate") == before
    assert site.service.heard() == []
    control.put("gate", CameraSettings(source=GATE, confidence=0.7))
    assert control.version("gate") != before


def test_a_dry_run_changes_nothing(site: Site) -> None:
    control = site.started()
    site.service.heard()
    assert control.put("door", CameraSettings(source=GATE), dry_run=True).kind == "added"
    assert control.remove("gate", dry_run=True).kind == "removed"
    assert set(control.settings()) == {"gate", "yard"}
    assert site.service.heard() == []
    assert site.store.load() == {}


def test_a_broken_file_leaves_the_running_one_in_force(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    control = site.started()
    good = site.path.read_text()
    told: list[Event] = []
    site.service.heard()
    site.path.write_text("cameras: {gate: {sorce: 1}}")
    for _ in range(2):
        with pytest.raises(ServiceError):
            control.reload()
    assert control.problem is not None
    assert str(site.path) in control.problem
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1
    assert set(control.settings()) == {"gate", "yard"}
    with site.events.following(told.append, after="before"):
        pass
    assert [event.type for event in told] == ["missed", "configuration_problem"]
    assert "sorce" in told[1].details["reason"]
    # The API goes on meanwhile.
    control.put("door", CameraSettings(source=GATE))
    assert site.service.heard() == ["put door"]
    site.path.write_text(good)
    control.reload()
    assert control.problem is None


def test_one_camera_that_is_none_changes_no_other(site: Site, tmp_path: Path) -> None:
    control = site.started()
    site.service.heard()
    site.write(f"gate: {{source: '{YARD}'}}", "yard: {source: /there/is/no/video.mp4}")
    with pytest.raises((ServiceError, SourceError)):
        control.reload()
    with pytest.raises(SourceError):
        control.put("door", CameraSettings(source=str(tmp_path)))
    assert site.service.heard() == []
    assert control.settings()["gate"].source == GATE


def test_a_camera_that_lost_its_file_stops_no_change_of_others(site: Site, tmp_path: Path) -> None:
    clip = tmp_path / "street.mp4"
    clip.touch()
    site.write(f"street: {{source: '{clip}'}}")
    control = site.started()
    site.service.heard()
    clip.unlink()
    control.put("door", CameraSettings(source=GATE))
    assert site.service.heard() == ["put door"]
    with pytest.raises(SourceError, match="no such file"):
        control.put("street", CameraSettings(source=str(clip), confidence=0.5))


def test_what_cannot_be_kept_is_not_done(site: Site, tmp_path: Path) -> None:
    site.store = RuntimeStore(tmp_path / "cameras.yaml" / "runtime.yaml")
    with pytest.raises(ServiceError):
        site.started()
    site.store = RuntimeStore(Path("/proc/yolostream/runtime.yaml"))
    control = site.started()
    with pytest.raises(ServiceError, match="state"):
        control.put("door", CameraSettings(source=GATE))
    assert "door" not in control.settings()
    assert site.service.heard() == ["put gate", "put yard"]


def test_what_the_api_changed_and_nobody_can_read_is_not_overwritten(site: Site) -> None:
    site.started().put("door", CameraSettings(source="rtsp://me:canary@192.0.2.1/stream1"))
    path = site.path.with_name("runtime.yaml")
    path.write_text(path.read_text().replace("source:", "sorce:"))
    broken = path.read_text()
    with pytest.raises(ServiceError) as caught:
        site.started()
    assert str(path) in str(caught.value)
    assert "canary" not in str(caught.value)
    assert path.read_text() == broken


def test_who_is_not_there_cannot_be_removed(site: Site) -> None:
    with pytest.raises(KeyError):
        site.started().remove("door")
