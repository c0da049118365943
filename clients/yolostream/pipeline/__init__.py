"""The pipeline: decodes, detects, tracks, draws and writes frames."""
