"""What Prometheus is told. Each name and its meaning are in `docs/monitoring.md`."""
