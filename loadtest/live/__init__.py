"""Benchmarks of the live service, `yolostream run`."""
