"""Scripts that make what the server serves."""
