"""Run as a program: becomes another one, which the system ends together with its parent.

Usage: die_with_parent.py PARENT PROGRAM ARGUMENT...

`PR_SET_PDEATHSIG` has to be set in the child. A `preexec_fn` would do so, but it is unsafe in a
process with threads. The signal comes when the thread that started the child ends, and not only
the process: see `supervisor`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have ended before that.
    if os.getppid() == int(parent):
        os.execvp(command[0], command)
