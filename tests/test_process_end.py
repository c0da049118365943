"""The process of a command ends with its exit code, whatever its threads do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# A thread in FFmpeg sometimes crashes while the interpreter shuts down. This program makes a crash
# certain: it registers `abort` for the end of the shutdown.
_COMMAND = """
import atexit, ctypes, sys, tempfile
import yolostream.cli
from yolostream.__main__ import main

def run():
    folder = tempfile.TemporaryDirectory(dir=sys.argv[1])
    open(folder.name + "/inside", "w").close()
    sys.last_folder = folder
    atexit.register(lambda: open(sys.argv[1] + "/ended", "w").close())
    sys.stdout.write("the last word")
    {end}

yolostream.cli.main = run
libc = ctypes.CDLL(None)
assert ctypes.pythonapi.Py_AtExit(ctypes.cast(libc.abort, ctypes.c_void_p)) == 0
main()
"""


@pytest.mark.parametrize(
    ("end", "code"), [("sys.exit(0)", 0), ("sys.exit(7)", 7), ("sys.exit()", 0)]
)
def test_a_command_ends_with_its_exit_code_and_all_cleanup(
    tmp_path: Path, end: str, code: int
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _COMMAND.format(end=end), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "the last word", "")
    # The exit handlers have run, and the temporary files are removed.
    assert [path.name for path in tmp_path.iterdir()] == ["ended"]
