"""How all metrics of the service begin."""

PREFIX = "yolostream_"
