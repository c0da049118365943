"""The command `yolostream`, and `python -m yolostream`."""

import atexit
import contextlib
import os
import sys
from typing import NoReturn

from yolostream.interruption import exit_on_stop_signals


def main() -> NoReturn:
    """Run the command line, with stop signals handled from the start, and end the process."""
    exit_on_stop_signals()
    # Imported here, because the import takes 0.3 s and has to be interruptible.
    from yolostream.cli import main as run

    try:
        run()
    except SystemExit as end:
        code = int(end.code or 0)
    _end(code)


def _end(code: int) -> NoReturn:
    """End the process without finalizing the Python interpreter.

    A thread that reads a source may still be inside FFmpeg. Finalization would make it crash, and
    the exit code would be -11 instead of the command's own.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # The reader of a pipe may have closed it.
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
