"""What makes the demo's files: its streets, its videos and its detector."""
