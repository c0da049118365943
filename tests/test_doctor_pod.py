"""What `yolostream doctor` says in a pod of Kubernetes."""

from __future__ import annotations

from yolostream.doctor import Verdict, pod


def test_a_pod_is_told_whether_it_can_keep_leases_in_kubernetes(monkeypatch, tmp_path):
    monkeypatch.setattr(pod, "ACCOUNT", tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert pod.leases() == []
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    (without,) = pod.leases()
    assert without.verdict == Verdict.note
    assert "automountServiceAccountToken" in without.fix
    (tmp_path / "namespace").write_text("cameras\n")
    (tmp_path / "token").write_text("secret")
    (there,) = pod.leases()
    assert (there.verdict, there.found) == (
        Verdict.good,
        "a pod of cameras, with a service account",
    )
