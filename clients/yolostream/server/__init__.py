"""A real tritonserver from PyPI, as a child process."""
