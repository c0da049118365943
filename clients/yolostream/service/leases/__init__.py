"""Distributes cameras over several instances: each camera runs where its lease is held."""
