"""A service whose cameras, workers and server go away and come back, and that ends when asked."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import socket
from pathlib import Path

import pytest
from api import serve_api
from instant import REPOSITORY, serve_instant
from loopback import LOOPBACK, reserved_port
from rtsp_camera import needs_rtsp, rtsp_camera
from running import DEADLINE_S, poll
from watching import Service, Site, running, street
from yolostream.errors import OutputError, ServiceError
from yolostream.server import embedded, processes
from yolostream.server.embedded import EmbeddedTriton
from yolostream.service import watched_child

SOON_S = 15.0
"""5 s are wanted, and a busy machine may need more. Who waits for something that is frozen would
need longer than this, or for ever."""


@pytest.fixture
def site(tmp_path: Path, instant: EmbeddedTriton) -> Site:
    return Site(tmp_path, instant.url)


def workers_of(service: Service) -> list[int]:
    """The processes that run its cameras."""
    return [
        child
        for child in processes.children(service.process.pid)
        if "spawn_main" in " ".join(processes.arguments(child))
    ]


def test_cameras_of_a_worker_that_is_killed_come_back(site: Site) -> None:
    site.write({"gate": {"source": str(street(site.folder))}})
    with site.running() as service:
        service.wait_for_frames("gate")
        (worker,) = workers_of(service)
        os.kill(worker, signal.SIGKILL)
        line = service.wait_for("a worker ended")
        assert "code -9" in line
        assert "gate" in line
        # Nobody else noticed.
        assert set(service.cameras()) == {"gate"}
        poll(lambda: workers_of(service) not in ([], [worker]), what="another worker")
        service.wait_for_frames("gate")
        assert sum("a worker ended" in one for one in service.said) == 1
        assert service.stop()[0] == 0


def test_a_worker_that_hangs_is_ended_and_nobody_waits_for_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_child, "SILENCE_S", 4.0)
    gate = {"source": str(street(site.folder)), "decoder": "cpu"}
    with serve_api(site.url, cameras={"gate": gate}) as api:
        poll(lambda: api.camera("gate")["frames_done"] > 0, what="frames")
        (hung,) = api.service.workers()
        pid = hung.pid
        os.kill(pid, signal.SIGSTOP)
        # More than its pipe takes.
        for number in range(200):
            settings = {"confidence": number / 1000}
            assert api.patch("/api/v1/cameras/gate", settings).status_code == 200
        poll(lambda: hung.restarts > 0, what="its end")
        assert hung.pid != pid
        poll(lambda: api.camera("gate")["frames_per_second"] > 0, what="frames of another one")
        with api.service.cameras() as cameras:
            assert cameras["gate"].task.job.detection_filter.min_confidence == 0.199


def test_a_worker_that_cannot_be_started_is_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, failures = watched_child.ChildProcess, [errno.EMFILE, errno.EAGAIN]

    def fail(*arguments: object) -> watched_child.ChildProcess:
        if failures:
            raise OSError(failures[0], os.strerror(failures.pop(0)))
        return start(*arguments)

    monkeypatch.setattr(watched_child, "ChildProcess", fail)
    gate = {"source": str(street(site.folder)), "decoder": "cpu"}
    with serve_api(site.url, cameras={"gate": gate}) as api:
        poll(lambda: api.camera("gate")["frames_done"] > 0, what="frames")
    assert not failures


def test_a_server_that_is_away_is_waited_for(site: Site) -> None:
    with contextlib.ExitStack() as servers:
        ports = embedded.Ports(
            grpc=servers.enter_context(reserved_port()),
            http=servers.enter_context(reserved_port()),
            metrics=servers.enter_context(reserved_port()),
        )
        away = Site(site.folder, f"{LOOPBACK}:{ports.grpc}")
        away.write({"gate": {"source": str(street(site.folder))}})
        with away.running() as service:
            poll(lambda: service.cameras()["gate"]["trouble"] != "", what="its trouble")
            assert away.url in service.cameras()["gate"]["trouble"]
            for _ in range(2):
                with serve_instant(ports):
                    service.wait_for_frames("gate", 5)
            assert service.stop()[0] == 0


@needs_rtsp
def test_a_camera_that_is_away_at_first_is_waited_for(site: Site) -> None:
    with rtsp_camera(street(site.folder)) as camera:
        camera.stop()
        site.write({"gate": {"source": camera.url}})
        with site.running("--log-format", "json") as service:
            service.wait_for('"to": "backoff"')
            poll(lambda: "refused" in service.cameras()["gate"]["trouble"], what="its trouble")
            camera.start()
            service.wait_for('"to": "live"')
            service.wait_for_frames("gate")
            code, _ = service.stop()
        assert code == 0
    said = [json.loads(line) for line in service.said]
    changes = [(one["source"], one["from"], one["to"]) for one in said if "to" in one]
    assert changes == [
        ("gate", "waiting", "connecting"),
        ("gate", "connecting", "backoff"),
        ("gate", "connecting", "live"),
    ]
    assert "refused" in next(one["reason"] for one in said if one.get("to") == "backoff")
    assert all({"timestamp", "level", "event", "logger"} <= one.keys() for one in said)


@needs_rtsp
def test_a_device_that_is_not_plugged_in_and_a_file_that_goes_are_waited_for(site: Site) -> None:
    clip = street(site.folder)
    site.write({"usb": {"source": "/dev/video77"}, "clip": {"source": str(clip)}})
    with site.running() as service:
        assert "/dev/video77 is not there" in service.wait_for("the service waits for it")
        service.wait_for_frames("clip")
        poll(lambda: service.cameras()["usb"]["state"] == "backoff", what="the device to be away")
        assert "plugged in" in service.cameras()["usb"]["trouble"]
        aside = clip.rename(clip.with_suffix(".aside"))
        poll(lambda: service.cameras()["clip"]["state"] == "backoff", what="the file to be away")
        aside.rename(clip)
        poll(lambda: service.cameras()["clip"]["state"] == "live", what="the file to be back")
        service.wait_for_frames("clip")


def test_it_ends_soon_whatever_hangs(site: Site) -> None:
    clip = street(site.folder)
    with rtsp_camera(clip) as camera, contextlib.ExitStack() as stack:
        site.write(
            {"gate": {"source": camera.url}, "yard": {"source": str(clip)}},
            server={"model_repository": str(REPOSITORY), "profile": "cpu"},
        )
        with site.running() as service:
            for name in ("gate", "yard"):
                service.wait_for_frames(name)
            # A viewer that asks for something and reads nothing.
            port = int(service.address.rpartition(":")[2])
            viewer = stack.enter_context(socket.create_connection((LOOPBACK, port)))
            viewer.sendall(
                b"GET /api/v1/cameras/gate/frame.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            camera.freeze()
            (server,) = [
                child
                for child in processes.children(service.process.pid)
                if "--model-repository" in " ".join(processes.arguments(child))
            ]
            os.kill(server, signal.SIGSTOP)
            code, took_s = service.stop()
            assert code == 0
            assert took_s < SOON_S
            assert processes.state(server) == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_asked_to_end_ends_well(site: Site, number: int) -> None:
    site.write({"gate": {"source": str(street(site.folder))}})
    with site.running() as service:
        service.wait_for_frames("gate")
        assert service.stop(number)[0] == 0
        # What was written is whole.
        assert site.frames("gate")


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_told(site: Site, is_abstract: bool) -> None:
    address = f"@yolostream-{os.getpid()}" if is_abstract else str(site.folder / "notify")
    site.write({"gate": {"source": str(street(site.folder))}})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address.replace("@", "\0"))
        systemd.settimeout(60)
        with site.running(NOTIFY_SOCKET=address, WATCHDOG_USEC="600000") as service:
            assert systemd.recv(100) == b"READY=1"
            # It answers now.
            assert set(service.cameras()) == {"gate"}
            assert systemd.recv(100) == b"WATCHDOG=1"
            assert systemd.recv(100) == b"WATCHDOG=1"
            service.process.send_signal(signal.SIGTERM)
            while (told := systemd.recv(100)) != b"STOPPING=1":
                assert told == b"WATCHDOG=1"
            assert service.process.wait(60) == 0


def test_a_port_that_is_taken(site: Site) -> None:
    site.write({})
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with site.running("--listen", f"{LOOPBACK}:{port}") as service:
            assert service.process.wait(60) == ServiceError.exit_code
            line = service.wait_for("error:")
    assert re.search(rf"{port}.*Address already in use.*--listen", line)


def test_a_folder_that_cannot_be_made(site: Site) -> None:
    site.write({}, outputs={"folder": "/proc/yolostream"})
    with site.running() as service:
        assert service.process.wait(60) == 4
        assert "/proc/yolostream" in service.wait_for("error:")


def test_two_services_do_not_write_into_one_folder(site: Site) -> None:
    site.write({"gate": {"source": str(street(site.folder))}})
    with site.running() as first:
        first.wait_for_frames("gate")
        with site.running() as second:
            second.wait_for("another service writes into")
            assert second.process.wait(DEADLINE_S) == OutputError.exit_code
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait(DEADLINE_S)
    # Nothing has to be cleared away.
    with site.running() as third:
        third.wait_for_frames("gate")


def test_cameras_may_be_named_without_a_file(instant: EmbeddedTriton, tmp_path: Path) -> None:
    clip = street(tmp_path)
    arguments = [clip, clip, "--url", instant.url, "--model", "instant", "--listen", "127.0.0.1:0"]
    with running(*arguments) as service:
        assert set(service.cameras()) == {"street", "street_2"}
        service.wait_for_frames("street_2")
        assert service.stop()[0] == 0
