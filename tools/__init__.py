"""Command-line tools that export, install, evaluate and train models."""
