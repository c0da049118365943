"""Everything that can go wrong with the tools, as one tree.

YolostreamError
 +-- ToolError
      +-- CheckpointError   a file is no YOLOv7 checkpoint that can be read safely and exactly
      +-- OnnxError         an ONNX file cannot be served, or cannot be made to
      +-- ExportError       what was exported does not compute what it should
      +-- RepositoryError   a model cannot be put into the model repository
      +-- DownloadError     a file cannot be fetched, or is not what it should be
      +-- EngineError       a TensorRT plan cannot be built or does not fit
      +-- LabelsError       class names are missing, or do not fit the model
      +-- DatasetError      pictures or labels for an evaluation are missing or do not match

Each message names the value that was wrong and the fix. Each class carries the exit code of the
tool that ends with it; the codes go on where those of `yolostream.errors` end.
"""

from __future__ import annotations

from yolostream.errors import YolostreamError


class ToolError(YolostreamError):
    """Base of every error that a tool raises on purpose."""


class CheckpointError(ToolError):
    """A file is no YOLOv7 checkpoint that can be read safely and exactly."""

    exit_code = 12


class OnnxError(ToolError):
    """An ONNX file cannot be served, or cannot be made to."""

    exit_code = 13


class ExportError(ToolError):
    """What was exported does not compute what it should."""

    exit_code = 14


class RepositoryError(ToolError):
    """A model cannot be put into the model repository."""

    exit_code = 15


class DownloadError(ToolError):
    """A file cannot be fetched, or is not what it should be."""

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
