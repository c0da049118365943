"""Builds TensorRT plans, and checks whether a plan still fits."""
