"""What a TensorRT plan is built from, how, and how to tell whether it still fits."""
