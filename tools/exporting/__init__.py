"""How an ONNX file comes about: traced from a network, checked, narrowed to float16."""
