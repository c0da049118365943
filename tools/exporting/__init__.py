"""How an ONNX file comes about: traced from a network, checked, converted to float16."""
