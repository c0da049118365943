"""Cameras that several instances share out: each is run by the holder of its lease."""
