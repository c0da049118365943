"""Benchmarks of the whole program, `yolostream detect`, and its server."""
