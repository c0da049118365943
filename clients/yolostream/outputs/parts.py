"""Consecutive files of one output ("parts"), each named by the time at which it begins."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from yolostream.errors import OutputError
from yolostream.outputs.clock import SYSTEM_CLOCK, Clock
from yolostream.outputs.finishing import FINISHING_SUFFIX
from yolostream.outputs.limits import check_limits
from yolostream.outputs.output import writing
from yolostream.sources.naming import FILE_NAME_BYTES, shortened

Opened = TypeVar("Opened")

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_LONGEST_ADDITION = ".20261128T024500Z_99999.jsonl" + "." + FINISHING_SUFFIX
DAY_S = 86400.0


@dataclass(frozen=True)
class Retention:
    """How many finished parts are kept; the oldest are removed first."""

    parts: int = 2000
    """Largest number of parts."""
    age_s: float = 7 * DAY_S
    """Largest age of a part: seconds since it began."""
    total_bytes: int | None = None
    """Largest size of all parts together, in bytes; None sets no limit."""

    def __post_init__(self) -> None:
        check_limits(0, parts=self.parts, age_s=self.age_s, total_bytes=self.total_bytes or 0)


class Parts:
    """The parts of one output of one camera: `NAME.20261128T024500Z.jsonl`, in UTC.

    If the name of a part exists, because the clock was set back, the part gets `_2` and so on;
    nothing is overwritten. The order of the parts of this process does not depend on the clock.
    Only files with such names are counted or removed.

    Args:
        folder: the camera's folder; created if it is missing.
        name: the camera's name; shortened if it is too long for a file name.
        suffix: the suffix of the files, such as `.jsonl`.
        clock: gives the time.

    Raises:
        OutputError: the folder cannot be read or created.
    """

    def __init__(
        self, folder: Path, name: str, suffix: str, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.folder = folder
        self._stem = shortened(name, FILE_NAME_BYTES - len(_LONGEST_ADDITION))
        self._suffix = suffix
        self._clock = clock
        self._pattern = re.compile(
            rf"{re.escape(self._stem)}\.(\d{{8}}T\d{{6}}Z)(?:_(\d+))?{re.escape(suffix)}"
        )
        self._growing: Path | None = None
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._finished = self._found()

    def begin(self, open_part: Callable[[Path], Opened]) -> Opened:
        """Finish the current part and begin the next one.

        Args:
            open_part: opens the file at a path, which exists and is empty.

        Returns:
            The result of `open_part`.

        Raises:
            OutputError: the file cannot be written; it is removed.
        """
        self.finish()
        path = self._new_file()
        try:
            opened = open_part(path)
        except OutputError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        self._growing = path
        return opened

    def discard(self) -> None:
        """Remove the current part, because nothing was written into it."""
        if self._growing is not None:
            with writing(self._growing):
                self._growing.unlink(missing_ok=True)
            self._growing = None

    def finish(self) -> None:
        """Count the current part as finished."""
        if self._growing is not None:
            self._finished.append(self._growing)
            self._growing = None

    def remove_old(self, keep: Retention) -> None:
        """Remove the finished parts that are beyond the limits.

        Raises:
            OutputError: a part cannot be removed.
        """
        sizes = [size_of(path) for path in self._finished]
        too_many = len(sizes) - keep.parts
        too_large = sum(sizes) - keep.total_bytes if keep.total_bytes is not None else 0
        oldest = self._clock.wall() - keep.age_s
        for number, (path, size) in enumerate(zip(list(self._finished), sizes, strict=True)):
            if number < too_many or too_large > 0 or self._began(path) < oldest:
                self._remove(path)
                too_large -= size

    def make_room(self, free_bytes: int) -> bool:
        """Remove the oldest finished parts until `free_bytes` of the disk are free.

        Returns:
            Whether that was possible.

        Raises:
            OutputError: a part cannot be removed.
        """
        while (is_short := self._free() < free_bytes) and self._finished:
            self._remove(self._finished[0])
        return not is_short

    def _free(self) -> int:
        with writing(self.folder):
            return shutil.disk_usage(self.folder).free

    def _remove(self, path: Path) -> None:
        with writing(path):
            path.unlink(missing_ok=True)
        self._finished.remove(path)

    def _new_file(self) -> Path:
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        begin, number = f"{self._stem}.{now.strftime(_TIME_FORMAT)}", 1
        while True:
            path = self.folder / f"{begin}{f'_{number}' if number > 1 else ''}{self._suffix}"
            with writing(path), contextlib.suppress(FileExistsError):
                path.open("xb").close()
                return path
            number += 1

    def _found(self) -> list[Path]:
        """Find the parts of earlier processes, oldest first; remove their unfinished copies."""
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):
                    continue
                if self._pattern.fullmatch(entry.name):
                    found.append(self.folder / entry.name)
                elif self._is_half_done(entry.name):
                    os.unlink(entry.path)
        return sorted(found, key=self._age_order)

    def _is_half_done(self, name: str) -> bool:
        whole = name.removeprefix(".").removesuffix(FINISHING_SUFFIX)
        return name == f".{whole}{FINISHING_SUFFIX}" and bool(self._pattern.fullmatch(whole))

    def _age_order(self, path: Path) -> tuple[bool, float, int]:
        matched = self._pattern.fullmatch(path.name)
        number = int(matched[2] or 1) if matched else 1
        began = self._began(path)
        # A part with a future date was written with a wrong clock. It counts as the oldest.
        return began <= self._clock.wall() + DAY_S, began, number

    def _began(self, path: Path) -> float:
        """The beginning of a part by its name, as Unix time in seconds; 0 for an invalid date."""
        matched = self._pattern.fullmatch(path.name)
        try:
            began = datetime.strptime(matched[1] if matched else "", _TIME_FORMAT)
        except ValueError:
            return 0.0
        return began.replace(tzinfo=UTC).timestamp()


def size_of(path: Path) -> int:
    """Bytes of a file; 0 if it was removed.

    Raises:
        OutputError: the size cannot be read.
    """
    with writing(path):
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0
