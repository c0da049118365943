"""The ensemble on a GPU against the bare engine: `python -m loadtest.gpu`."""
