"""Causes faults while a client compares every answer with the right one: `make faults`."""
