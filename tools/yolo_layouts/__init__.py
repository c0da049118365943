"""ONNX files from the exporters of other YOLOs, turned into what the ensemble serves."""

from tools.yolo_layouts.conversion import served

__all__ = ["served"]
