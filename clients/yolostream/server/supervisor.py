"""Restarts a tritonserver if it, or one of its steps, dies or hangs.

Triton does not detect that. A Python step that dies stays a zombie. Every frame that reaches it
fails, but the server still reports that it is ready.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import threading
import time
from collections.abc import Iterator

from yolostream.errors import ServerStartError, ServerUnavailable, YolostreamError
from yolostream.interruption import defer_signals, wait_for
from yolostream.server import log, tritonserver
from yolostream.server.backoff import Backoff
from yolostream.server.canary import Canary
from yolostream.server.health import Health
from yolostream.server.launch import Launch
from yolostream.server.ports import free_ports
from yolostream.server.readiness import wait_until_ready
from yolostream.server.run_folder import remove_shared_memory
from yolostream.server.step_processes import StepProcesses

_LOOK_S = 0.25
"""Interval of the checks of the processes, in seconds."""

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs one server at a time. Use it through `supervised`.

    One thread starts all servers and lives as long as the supervisor, because a server is killed
    when the thread that started it ends; see `die_with_parent`.

    Args:
        launch: the settings that servers are started with.
        once: do not restart the server.
    """

    def __init__(self, launch: Launch, *, once: bool) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._launch = launch
        self._once = once
        self._proven: set[str] = set()
        self._canary: Canary | None = None
        self._restarts = 0
        self._fault = ""
        self._away_since = time.monotonic()
        self._has_been_ready = False
        self._first_settled = threading.Event()
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="yolostream-supervisor", daemon=True)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of the latest server. `start` must have succeeded before."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start the first server, and wait until it is ready.

        Raises:
            ServerStartError: it does not become ready.
        """
        with defer_signals():
            self._thread.start()
        wait_for(self._first_settled)
        self._raise_error()

    def stop(self) -> None:
        """Stop the server and the supervision, even during a start."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def wait(self) -> None:
        """Wait until the server ends and is not restarted.

        Raises:
            ServerUnavailable: the server died or failed, and is not restarted because of `once`.
        """
        wait_for(self._ended)
        self._raise_error()

    def health(self) -> Health:
        """The current health of the server."""
        canary = self._canary
        return Health(
            models=dict(canary.answers) if canary else {},
            is_up=canary is not None,
            restarts=self._restarts,
            fault=self._fault,
        )

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._keep_running()
        except BaseException as error:
            # `start` or `wait` raises it in the caller's thread.
            self._error = error
            if self._has_been_ready and not self._once:
                _log.error("the Triton at %s is not restarted: %s", self._launch.url, error)
        finally:
            self._first_settled.set()
            self._ended.set()

    def _keep_running(self) -> None:
        backoff = Backoff()
        while True:
            started_at = time.monotonic()
            fault = self._run_one()
            if fault is None:
                return
            if self._once or not self._has_been_ready:
                raise fault
            pause_s = backoff.pause_s(ran_s=max(0.0, self._away_since - started_at))
            self._announce(fault, pause_s)
            if self._stopping.wait(pause_s):
                return

    def _run_one(self) -> YolostreamError | None:
        """Run a server until it fails or has to stop; return the fault, or None without one."""
        launch = self._launch
        process = None
        patience_s = 0.0
        try:
            free_ports(launch.ports, launch.host)
            process = tritonserver.start(launch.command, launch.run, launch.variables)
            self._process = process
            if not wait_until_ready(
                process,
                server=launch.http,
                log=launch.log,
                timeout_s=launch.start_timeout_s,
                stop=self._stopping,
            ):
                return None
            if (fault := self._watch(process)) is None:
                # A healthy server may finish the requests in flight.
                patience_s = launch.stop_timeout_s
                return None
            return ServerUnavailable(f"the Triton at {launch.url} has failed: {fault}")
        except ServerStartError as error:
            return error
        except OSError as error:
            return ServerStartError(f"cannot start Triton: {error}")
        finally:
            if process is not None:
                tritonserver.stop(process, patience_s=patience_s)
                remove_shared_memory(launch.run)

    def _watch(self, process: subprocess.Popen[bytes]) -> str | None:
        """Watch a server that is ready; return its fault, or None if it has to stop."""
        steps = StepProcesses(process.pid)
        canary = Canary(self._launch.http, self._launch.url, self._launch.ensembles, self._proven)
        with contextlib.closing(canary):
            self._canary = canary
            self._note_ready()
            try:
                while not self._stopping.wait(_LOOK_S):
                    if process.poll() is not None:
                        return f"it ended with code {process.returncode}"
                    if fault := steps.fault() or canary.fault:
                        return fault
                    log.rotate(self._launch.log)
                return None
            finally:
                self._canary = None
                self._away_since = time.monotonic()

    def _note_ready(self) -> None:
        if self._has_been_ready:
            away_s = time.monotonic() - self._away_since
            _log.warning(
                "the Triton at %s is back after %.1f s (restart %d)",
                self._launch.url,
                away_s,
                self._restarts,
            )
        self._has_been_ready = True
        self._first_settled.set()

    def _announce(self, fault: YolostreamError, pause_s: float) -> None:
        # If the server did not start, the further lines are the end of its log.
        first, *log_lines = str(fault).splitlines()
        self._fault = " ".join([first, *log_lines[-1:]])
        self._restarts += 1
        _log.warning(
            "%s; it is restarted %s (restart %d)",
            self._fault,
            f"in {pause_s:g} s" if pause_s else "now",
            self._restarts,
        )


@contextlib.contextmanager
def supervised(launch: Launch, *, once: bool = False) -> Iterator[Supervisor]:
    """Keep a server running until the block ends. Faults and restarts are logged.

    Args:
        launch: the settings that the server is started with.
        once: do not restart the server; `Supervisor.wait` raises the fault.

    Raises:
        ServerStartError: the first start fails.
    """
    supervisor = Supervisor(launch, once=once)
    try:
        supervisor.start()
        yield supervisor
    finally:
        supervisor.stop()
