"""Commands with which other YOLO projects export models that can be served."""

from __future__ import annotations

ULTRALYTICS = "yolo export model=best.pt format=onnx dynamic=True opset=17"
YOLOV5 = "python export.py --weights best.pt --include onnx --dynamic --opset 17"
YOLOV7 = "python export.py --weights best.pt --grid --dynamic-batch"
YOLOV9 = "python export.py --weights best.pt --include onnx --dynamic --opset 17"

EXPORTS = (
    f"Exports that can be served: YOLOv8, v9 and 11: '{ULTRALYTICS}'; YOLOv5: '{YOLOV5}'; "
    f"YOLOv7: '{YOLOV7}', without --end2end"
)
