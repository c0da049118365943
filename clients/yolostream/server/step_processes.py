"""The processes of a server's Python steps, which Triton calls stubs."""

from __future__ import annotations

from pathlib import Path

from yolostream.server import processes

_STUB = "triton_python_backend_stub"
_FAULTS = {processes.ZOMBIE: "has ended", processes.PAUSED: "is paused"}


class StepProcesses:
    """Those of one server that is ready.

    Args:
        server: number of its process.
    """

    def __init__(self, server: int) -> None:
        self._names = {server: "tritonserver"}
        for pid in processes.children(server):
            program, *arguments = processes.arguments(pid) or [""]
            if Path(program).name == _STUB:
                self._names[pid] = _name(arguments)
        self._useless: set[int] = set()

    def fault(self) -> str | None:
        """What is wrong with one of them; to be asked several times a second.

        One that is paused counts as dead: after a second Triton gives its frame up, and takes the
        late answer for that of another frame. Whatever it is has to be so at two looks in a row:
        one that Triton unloads is a zombie for a moment, and gone without a trace afterwards.
        """
        states = {pid: processes.state(pid) for pid in self._names}
        useless = {pid for pid, state in states.items() if state in _FAULTS}
        still, self._useless = useless & self._useless, useless
        return next(
            (f"a process of {self._names[pid]} {_FAULTS[states[pid]]}" for pid in still), None
        )


def _name(arguments: list[str]) -> str:
    """The step's name: a stub is told the path of `STEP/VERSION/model.py` first."""
    return f"'{Path(arguments[0]).parts[-3]}'" if arguments else "a step"
