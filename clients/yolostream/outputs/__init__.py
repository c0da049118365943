"""Where results go: one module a format."""
