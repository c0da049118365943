"""Requests that nobody would write: no answer is a 500, and each is as the description says.

EXAMPLES=1000 makes more of them; `make faults` does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from api import serve_api
from yolostream.server import embedded
from yolostream.service.web import cameras

EXAMPLES = int(os.environ.get("EXAMPLES", "4"))
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
# Of cameras and a Triton that are away; a 500 is a defect.
CONFIGURATION = """\
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "502", "503", "504", "507"]
"""
ENDLESS = ".*/events.*|.*/detections|.*mjpeg"
"""Answers that have no end: other tests read them."""


def test_no_request_is_a_500(
    triton: embedded.EmbeddedTriton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, "PICTURE_TIMEOUT_S", 0.1)
    street = {"street": {"source": "rtsp://127.0.0.1:1/x"}}
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    with serve_api(triton.url, cameras=street, model="yolov7") as api:
        fuzz = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", configuration),
                *("run", f"{api.url}/openapi.json"),
                *("--checks", ",".join(CHECKS), "--exclude-path-regex", ENDLESS),
                *("--max-examples", str(EXAMPLES), "--seed", "20", "--request-timeout", "60"),
                *("--phases", "examples,coverage,fuzzing", "--no-color"),
                *("--suppress-health-check", "all", "--generation-database", "none"),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "NO_PROXY": "127.0.0.1", "HYPOTHESIS_STORAGE_DIRECTORY": "none"},
            timeout=280 if EXAMPLES < 100 else None,
        )
    assert fuzz.returncode == 0, fuzz.stdout + fuzz.stderr
