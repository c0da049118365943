"""The command `yolostream`, and `python -m yolostream`."""

import atexit
import contextlib
import os
import sys
from typing import NoReturn

from yolostream.interruption import exit_on_stop_signals


def main() -> NoReturn:
    """Run the command line, which can be interrupted from now on, and end the process."""
    exit_on_stop_signals()
    # It takes a third of a second.
    from yolostream.cli import main as run

    try:
        run()
    except SystemExit as end:
        code = int(end.code or 0)
    _end(code)


def _end(code: int) -> NoReturn:
    """End the process, but leave the interpreter whole.

    A reader that was left behind may be inside FFmpeg still. It would crash where the interpreter
    is taken apart meanwhile, and the process would end with -11 instead of the command's own code.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # Nobody may read it any more.
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
