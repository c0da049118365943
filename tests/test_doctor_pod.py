"""The checks of `yolostream doctor` in a Kubernetes pod."""

from __future__ import annotations

from yolostream.doctor import Verdict, pod


def test_the_doctor_checks_whether_a_pod_can_keep_leases(monkeypatch, tmp_path):
    monkeypatch.setattr(pod, "ACCOUNT", tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert pod.leases() == []
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    (without_account,) = pod.leases()
    assert without_account.verdict == Verdict.note
    assert "automountServiceAccountToken" in without_account.fix
    (tmp_path / "namespace").write_text("cameras\n")
    (tmp_path / "token").write_text("secret")
    (with_account,) = pod.leases()
    assert (with_account.verdict, with_account.found) == (
        Verdict.good,
        "a pod of cameras, with a service account",
    )
