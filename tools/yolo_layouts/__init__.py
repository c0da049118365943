"""Converts ONNX files of other YOLO projects so that the ensemble can serve them."""

from tools.yolo_layouts.conversion import served

__all__ = ["served"]
