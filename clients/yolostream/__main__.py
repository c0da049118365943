"""`python -m yolostream`."""

from yolostream.cli import main

main()
