"""How frames reach the server: inside gRPC messages, or through memory that it shares."""
