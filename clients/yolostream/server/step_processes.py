"""Watches the processes of a server's Python steps, which Triton calls stubs."""

from __future__ import annotations

from pathlib import Path

from yolostream.server import processes

_STUB = "triton_python_backend_stub"
_FAULTS = {processes.ZOMBIE: "has ended", processes.PAUSED: "is paused"}


class StepProcesses:
    """The processes of one server that is ready.

    Args:
        server: process id of tritonserver.
    """

    def __init__(self, server: int) -> None:
        self._names = {server: "tritonserver"}
        for pid in processes.children(server):
            program, *arguments = processes.arguments(pid) or [""]
            if Path(program).name == _STUB:
                self._names[pid] = _name(arguments)
        self._useless: set[int] = set()

    def fault(self) -> str | None:
        """Which process has failed, and how; None if none has. Call it several times a second.

        A paused process counts as failed: after a second Triton drops its request, and returns the
        late answer for another frame. A process has failed if two calls in a row find it so,
        because a process that Triton unloads is a zombie for a moment.
        """
        states = {pid: processes.state(pid) for pid in self._names}
        useless = {pid for pid, state in states.items() if state in _FAULTS}
        still, self._useless = useless & self._useless, useless
        return next(
            (f"a process of {self._names[pid]} {_FAULTS[states[pid]]}" for pid in still), None
        )


def _name(arguments: list[str]) -> str:
    """The step's name, from the stub's first argument, the path of `STEP/VERSION/model.py`."""
    return f"'{Path(arguments[0]).parts[-3]}'" if arguments else "a step"
