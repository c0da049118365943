"""Outputs of results: a module for each format."""
