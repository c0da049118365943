"""Training of the demo detector on street photographs and generated scenes."""
