"""Generates the demo's street scenes and videos, and trains its detector."""
