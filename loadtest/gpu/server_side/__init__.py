"""Programs for the server's own Python, which has CuPy and the engines but none of our packages."""
