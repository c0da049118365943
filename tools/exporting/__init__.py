"""Exports ONNX files: traces a network, checks the graph, and converts it to float16."""
