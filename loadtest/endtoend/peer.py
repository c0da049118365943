"""A one-process peer with the network inside, Ultralytics' YOLOv8m, on the same clips.

Its license is the AGPL, so none of it is imported here: its own command line runs in an environment
of its own. One process decodes with OpenCV, a thread a source, makes a batch of one frame of each
source, and tracks with ByteTrack; it writes nothing but a line a frame.

Its weights are random, as a machine without a network has no others, and with those it finds the
same in every frame: the signal fades from layer to layer, until a cell's score is what its level
starts with. So no confidence leaves about `WANTED` objects. Taken is one that leaves the cells of
the coarsest level, and of these the first `WANTED` that do not overlap count (`max_det`). ByteTrack
would not take such scores for objects; its thresholds are set below them, and it matches by overlap
alone. That its objects do not move spares its tracker work, and its input, of the usual size,
leaves out most of the padding; its suppression has more to do than in a street, 240 boxes a frame.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.endtoend.confidence import WANTED
from loadtest.endtoend.material import Material
from loadtest.endtoend.peer_log import Log, objects_per_frame
from loadtest.errors import LoadTestError
from loadtest.gpu.bench import say
from loadtest.program import started

SOURCES = (8, 24)
"""Numbers of sources that it is held against on a GPU."""

CONFIDENCE = 1e-4
"""Between the scores of its two coarser levels, 0.00004 and 0.00016."""

_MODEL = "yolov8m.yaml"
_LIST, _TRACKER = "list.streams", "tracker.yaml"
_TRACKER_SETTINGS = """\
tracker_type: bytetrack
track_high_thresh: 0.00001
track_low_thresh: 0.000001
new_track_thresh: 0.00001
track_buffer: 30
match_thresh: 0.8
fuse_score: false
"""

_OBJECTS_WITHIN = 1.0
"""So far from `WANTED` a frame's objects may be, on average."""

_START_S = 240.0
"""That a run may take besides ten times its length."""

_FEWEST_BATCHES = 10


def chosen(sources: Sequence[int], *, on_gpu: bool) -> tuple[int, ...]:
    """Of the numbers of sources that are measured, those that the peer runs with.

    Without a GPU any number shows how the peer does, and none has a bar.

    Raises:
        LoadTestError: There is none.
    """
    numbers = tuple(number for number in sources if not on_gpu or number in SOURCES)
    if not numbers:
        words = ",".join(map(str, sources))
        raise LoadTestError(f"--peer runs with 8 and 24 sources, and --sources {words} has neither")
    return numbers


def figures_of(log: Log) -> dict[str, Any]:
    """What a run comes to.

    Args:
        log: What it printed.

    Returns:
        `frames`, all that were seen; `frames_per_s` of all sources in the middle of the run; and
        `objects_per_frame`.

    Raises:
        LoadTestError: It was too short, or a frame had another number of objects.
    """
    rate, objects = log.frames_per_s, objects_per_frame([log])
    if rate is None or objects is None:
        raise LoadTestError(f"too few frames: {len(log.objects)}")
    if abs(objects - WANTED) > _OBJECTS_WITHIN:
        raise LoadTestError(f"{objects} objects a frame, not {WANTED}")
    return {
        "frames": len(log.objects),
        "frames_per_s": round(rate, 2),
        "objects_per_frame": objects,
    }


@dataclass(frozen=True)
class Peer:
    """How it is run.

    Attributes:
        python: Of an environment with `ultralytics` and `lap`.
        on_gpu: Whether on one, and in half precision.
        seconds: Length of a run, without its start.
        scratch: Folder that is gone afterwards, for its settings and lists; is made.
        raw: Folder for its logs; is made.
    """

    python: Path
    on_gpu: bool
    seconds: float
    scratch: Path
    raw: Path

    def ready(self) -> None:
        """See that it is there, and have it report nothing to anybody.

        Raises:
            LoadTestError: It is not.
        """
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._do(*self._program, "settings", "sync=False")
        self._do(str(self._python), "-c", "import lap")

    def measure(self, material: Material, numbers: Sequence[int]) -> dict[str, Any]:
        """Run it with each number of sources.

        Args:
            material: What is read.
            numbers: Of sources.

        Returns:
            `version`; `half`, whether in half precision; `input`, height x width in pixels; `conf`;
            `objects_per_frame` of all runs; and `runs`, by number of sources, with `figures_of`
            each, or `error`, why there are none.
        """
        logs = {number: Log(number) for number in numbers}
        runs = {str(number): self._measured(material, log) for number, log in logs.items()}
        return {
            "version": next((log.version for log in logs.values() if log.version), None),
            "half": self.on_gpu,
            "input": next((log.size for log in logs.values() if log.size), None),
            "conf": CONFIDENCE,
            "objects_per_frame": objects_per_frame(logs.values()),
            "runs": runs,
        }

    def _measured(self, material: Material, log: Log) -> dict[str, Any]:
        """One run; `log` gets what it prints."""
        folder = self.scratch / f"peer-{log.sources}"
        _lay_out(folder, material.of(log.sources))
        try:
            self._run(folder, log)
            told = figures_of(log)
        except LoadTestError as error:
            told = {"error": str(error)}
        say(f"the peer with {log.sources} sources: {told}")
        return told

    def _run(self, folder: Path, log: Log) -> None:
        """Run it until that is long enough, or the clips end."""
        path = self.raw / folder.name / "peer.log"
        path.parent.mkdir(parents=True)
        with path.open("w", encoding="utf-8") as file, self._started(folder) as process:
            assert process.stdout is not None  # a pipe
            for line in process.stdout:
                log.add(line, time.monotonic())
                file.write(line)
                if log.measured_s >= self.seconds and len(log.batches) >= _FEWEST_BATCHES:
                    return
            code = process.wait()
        if code != 0:
            raise LoadTestError(f"ended with {code}: {log.reason}")

    @contextlib.contextmanager
    def _started(self, folder: Path) -> Iterator[subprocess.Popen[str]]:
        """Start it, and stop it afterwards, or after far too long a time."""
        with started(
            [*self._program, *self._arguments],
            subprocess.PIPE,
            cwd=folder,
            env=self._variables,
            encoding="utf-8",
            errors="replace",
        ) as process:
            # Its lines are waited for, and one that hangs prints none.
            late = threading.Timer(_START_S + 10 * self.seconds, process.kill)
            late.start()
            try:
                yield process
            finally:
                late.cancel()

    def _do(self, *command: str) -> None:
        """Run a command of its environment."""
        try:
            subprocess.run(
                command,
                cwd=self.scratch,
                env=self._variables,
                check=True,
                capture_output=True,
                text=True,
                timeout=_START_S,
            )
        except (OSError, subprocess.SubprocessError) as error:
            told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            raise LoadTestError(
                f"--peer {self.python} is not the Python of an environment with ultralytics >= 8.4 "
                f"and lap: {told[-1]}"
            ) from None

    @property
    def _python(self) -> Path:
        """Absolute, and not resolved: a virtual environment is known by its link."""
        return self.python.absolute()

    @property
    def _program(self) -> list[str]:
        # Its first line may name a Python that is elsewhere by now.
        return [str(self._python), str(self._python.with_name("yolo"))]

    @property
    def _arguments(self) -> list[str]:
        return [
            *["track", f"model={_MODEL}", f"source={_LIST}", f"tracker={_TRACKER}"],
            *[f"conf={CONFIDENCE}", f"max_det={WANTED}"],
            # Otherwise it takes the newest frame of each source, and drops those before.
            "stream_buffer=True",
            *["save=False", "verbose=True"],
            *(["device=0", "half=True"] if self.on_gpu else ["device=cpu"]),
        ]

    @property
    def _variables(self) -> dict[str, str]:
        """With these it asks no network, installs nothing, and finds its own packages alone."""
        return {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "YOLO_OFFLINE": "true",
            "YOLO_AUTOINSTALL": "false",
            "YOLO_CONFIG_DIR": str(self.scratch),
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8",
        }


def _lay_out(folder: Path, clips: Sequence[Path]) -> None:
    """Make what it reads; its list is split at every space, so clips get other names."""
    folder.mkdir(parents=True)
    names = [f"clip-{number}.mp4" for number in range(len(clips))]
    for name, clip in zip(names, clips, strict=True):
        (folder / name).symlink_to(clip.resolve())
    (folder / _LIST).write_text("\n".join(names), encoding="utf-8")
    (folder / _TRACKER).write_text(_TRACKER_SETTINGS, encoding="utf-8")
