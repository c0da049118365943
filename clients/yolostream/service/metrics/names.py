"""The prefix of the names of all metrics."""

PREFIX = "yolostream_"
