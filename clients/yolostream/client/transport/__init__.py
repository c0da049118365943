"""Sends frames inside gRPC messages, or through memory shared with the server."""
