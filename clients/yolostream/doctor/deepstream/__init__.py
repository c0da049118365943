"""Checks of DeepStream's files against each other and the model repository."""
