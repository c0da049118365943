"""The errors of the tools, as one tree.

YolostreamError
 +-- ToolError
      +-- CheckpointError   a file is not a YOLOv7 checkpoint that can be read safely and exactly
      +-- OnnxError         an ONNX file cannot be served, nor converted so that it can
      +-- ExportError       the exported network computes other results than the source
      +-- RepositoryError   a model cannot be put into the model repository
      +-- DownloadError     a file cannot be fetched, or has the wrong content
      +-- EngineError       a TensorRT plan cannot be built or does not fit
      +-- LabelsError       class names are missing, or do not fit the model
      +-- DatasetError      pictures or labels for an evaluation are missing or do not match

Each message names the wrong value and the fix. Each class has the exit code of a tool that ends
with this error. The codes do not overlap with those of `yolostream.errors`.
"""

from __future__ import annotations

from yolostream.errors import YolostreamError


class ToolError(YolostreamError):
    """Base class of all errors of the tools."""


class CheckpointError(ToolError):
    """A file is not a YOLOv7 checkpoint that can be read safely and exactly."""

    exit_code = 12


class OnnxError(ToolError):
    """An ONNX file cannot be served, nor converted so that it can."""

    exit_code = 13


class ExportError(ToolError):
    """The exported network computes other results than the source."""

    exit_code = 14


class RepositoryError(ToolError):
    """A model cannot be put into the model repository."""

    exit_code = 15


class DownloadError(ToolError):
    """A file cannot be fetched, or has the wrong content."""

    exit_code = 16


class EngineError(ToolError):
    """A TensorRT plan cannot be built or does not fit."""

    exit_code = 17


class LabelsError(ToolError):
    """Class names are missing, or do not fit the model."""

    exit_code = 18


class DatasetError(ToolError):
    """Pictures or labels for an evaluation are missing or do not match."""

    exit_code = 19
