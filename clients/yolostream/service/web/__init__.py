"""The service on the web: a page, and what programs ask."""
