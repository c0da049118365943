"""Checks the service account of a pod of Kubernetes."""

from __future__ import annotations

import os
from pathlib import Path

from yolostream.doctor.check import Check, Verdict

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def leases() -> list[Check]:
    """Check the service account that '--leases kubernetes:NAME' needs, if this is a pod."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return []
    part = "Kubernetes"
    try:
        namespace = (ACCOUNT / "namespace").read_text().strip()
        (ACCOUNT / "token").read_text()
    except OSError as error:
        found = f"a pod without a service account ({error.strerror})"
        fix = "for --leases kubernetes:NAME, set automountServiceAccountToken: true"
        return [Check(part, Verdict.note, found, fix)]
    return [Check(part, Verdict.good, f"a pod of {namespace}, with a service account")]
