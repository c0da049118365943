"""YOLOv7-family networks built from layer tables, and their folding for inference."""

from tools.yolov7.fuse_bn import folded
from tools.yolov7.network import Network
from tools.yolov7.table import Row, Table, load_table, table_names

__all__ = ["Network", "Row", "Table", "folded", "load_table", "table_names"]
