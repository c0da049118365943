"""A program that executes another one, which Linux kills when its parent ends.

Usage: die_with_parent.py PARENT PROGRAM ARGUMENT...

PARENT is the process id of the parent. `PR_SET_PDEATHSIG` has to be set in the child. A
`preexec_fn` could do that, but it is unsafe in a process with threads. Linux sends the signal when
the thread that started the child ends, even if the process goes on: see `supervisor`.
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
    # If the parent ended before `prctl`, no signal will come.
    if os.getppid() == int(parent):
        os.execvp(command[0], command)
