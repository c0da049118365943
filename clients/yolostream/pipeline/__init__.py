"""The way of a frame: decoded, detected, tracked, drawn and written."""
