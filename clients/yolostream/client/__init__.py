"""The gRPC client: frames in, detections out."""
