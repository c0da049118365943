"""The web server of the live service: its page and its API."""
