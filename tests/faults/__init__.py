"""Faults made on purpose beside a client that compares every answer: `make faults`."""
