"""Benchmarks, and the results that they wrote."""
