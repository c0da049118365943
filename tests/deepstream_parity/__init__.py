"""How far DeepStream and the Python client agree, through the same Triton on the same frames."""
