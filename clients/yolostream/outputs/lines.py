"""Text files that consist of whole lines, even if the disk is full."""

from __future__ import annotations

from pathlib import Path

from yolostream.outputs.output import writing


class LineFile:
    """Appends lines to a file. Each `write` is unbuffered, and is complete or has no effect."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            self._file = path.open("wb", buffering=0)

    def write(self, text: str) -> None:
        """Append `text`, which ends with a newline.

        Raises:
            OutputError: the disk is full; the file ends with the previous line.
        """
        data = text.encode(errors="replace")
        start = self._file.tell()
        with writing(self.path):
            try:
                while data:
                    data = data[self._file.write(data) :]
            except OSError:
                self._file.seek(start)
                self._file.truncate()
                raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()
