"""Metrics for Prometheus. `docs/monitoring.md` explains each of them."""
