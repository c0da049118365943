"""Checks DeepStream's configuration files against each other and the model repository."""
