"""NVIDIA's perf_analyzer: the binary, its input, its runs and what they say."""
