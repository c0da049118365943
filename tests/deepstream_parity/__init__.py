"""Measures the agreement of DeepStream and the Python client, with the same Triton and frames."""
