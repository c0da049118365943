"""Networks of the YOLOv7 family, built from layer tables, and folded for inference."""

from tools.yolov7.fuse_bn import fuse_batch_norm
from tools.yolov7.network import Network
from tools.yolov7.table import Row, Table, load_table, table_names

__all__ = ["Network", "Row", "Table", "fuse_batch_norm", "load_table", "table_names"]
