"""Recognizes files that are not an ONNX model or a checkpoint, by their first bytes.

It never runs, unpickles or unpacks anything in the files.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
from pathlib import Path

from tools.errors import ToolError

_HEAD = 512
_TO_ONNX = "export the model to ONNX with the program that made it, and give that"
_UNPACK = "unpack it, and give the model that is in it"

# Offset and value of the first bytes, and the rest of a sentence that begins with "it is".
_SIGNS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "a Git LFS pointer: 'git lfs pull' fetches the model itself"),
    (4, b"TFL3", f"a TensorFlow Lite model: {_TO_ONNX}"),
    (4, b"ORTM", "a model in ONNX Runtime's own format: give the .onnx file it was made from"),
    (0, b"\x89HDF", f"an HDF5 file, such as Keras writes: {_TO_ONNX}"),
    (0, b"RKNN", f"an RKNN model, for Rockchip's processors: {_TO_ONNX}"),
    (0, b"7767517", f"an NCNN model: {_TO_ONNX}"),
    (0, b"GGUF", f"GGUF weights: {_TO_ONNX}"),
    (0, b"\x00\x00\x00\x00\x02\x00\x00\x00\x05\x00", f"Darknet weights: {_TO_ONNX}"),
    (0, b"\x93NUMPY", f"a NumPy array: {_TO_ONNX}"),
    (0, b"<?xml", f"an XML file, such as OpenVINO writes: {_TO_ONNX}"),
    (0, b"\x1f\x8b", f"a gzip archive: {_UNPACK}"),
    (0, b"7z\xbc\xaf\x27\x1c", f"a 7z archive: {_UNPACK}"),
    (0, b"Rar!", f"a RAR archive: {_UNPACK}"),
    (0, b"BZh", f"a bzip2 archive: {_UNPACK}"),
    (0, b"\xfd7zXZ", f"an xz archive: {_UNPACK}"),
    (0, b"\x28\xb5\x2f\xfd", f"a Zstandard archive: {_UNPACK}"),
)
# The end of a file name in a zip archive, and the rest of the sentence.
_MEMBERS = (
    ("/constants.pkl", "a traced TorchScript program: take the checkpoint that it was made from"),
    ("exported_program.json", f"a program of torch.export: {_TO_ONNX}"),
    (".mlmodel", f"a Core ML model: {_TO_ONNX}"),
    ("Manifest.json", f"a Core ML model: {_TO_ONNX}"),
    (".weights.h5", f"a Keras model: {_TO_ONNX}"),
)
_ENGINES = (b"ptrt", b"ftrt")
_PAGES = (b"<!doctype html", b"<html")


def refuse_other_formats(path: Path, error: type[ToolError]) -> None:
    """Raise an error unless a file may be an ONNX model or a checkpoint.

    Args:
        path: A file, or a folder.
        error: Class of the error.

    Raises:
        ToolError: The file has another format, which the message names with the fix; or it does not
            exist, or cannot be read.
    """
    try:
        what = _foreign_format(path)
    except FileNotFoundError:
        raise error(f"there is no file {path}: check the path") from None
    except OSError as reason:
        raise error(f"cannot read {path}: {reason.strerror}") from reason
    if what is not None:
        raise error(f"{path} is {what}")


def _foreign_format(path: Path) -> str | None:
    """The rest of a sentence after "it is", such as "a tar archive: unpack it"; None if allowed."""
    if path.is_dir():
        return "a folder: give the .onnx or .pt file in it"
    if stat.S_IFMT(path.stat().st_mode) != stat.S_IFREG:
        return "a pipe or a device: save the model as a file"
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "empty: fetch or export it again"
    return _by_sign(head) or _by_structure(path, head)


def _by_sign(head: bytes) -> str | None:
    return next((what for at, sign, what in _SIGNS if head[at:].startswith(sign)), None)


def _by_structure(path: Path, head: bytes) -> str | None:
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(_PAGES):
        return "an HTML page: fetch the file that the page offers, by its download button's address"
    if _is_engine(path, head):
        return (
            "a TensorRT engine, which fits one GPU and one TensorRT: give the ONNX file it was "
            "built from, and let tools.build_engine build the plan"
        )
    if _is_safetensors(head, path.stat().st_size):
        return f"safetensors, which hold weights without their network: {_TO_ONNX}"
    if tarfile.is_tarfile(path):
        return f"a tar archive: {_UNPACK}"
    return _archive(path)


def is_checkpoint(path: Path) -> bool:
    """Whether `torch.save` wrote a file, in its current or old format."""
    if any(name.endswith("data.pkl") for name in _members(path)):
        return True
    with path.open("rb") as file:
        start = file.read(2)
    return start[:1] == b"\x80" and start[1:] in (b"\x02", b"\x03", b"\x04", b"\x05")


def _is_engine(path: Path, head: bytes) -> bool:
    if head.startswith(_ENGINES):
        return True
    # Ultralytics writes JSON metadata, preceded by its length, in front of the engine.
    length = int.from_bytes(head[:4], "little")
    if head[4:5] != b"{" or length > path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(4 + length)
        return file.read(4) in _ENGINES


def _is_safetensors(head: bytes, size: int) -> bool:
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8


def _archive(path: Path) -> str | None:
    """The format of a zip archive, as in `_foreign_format`; None for a checkpoint or no archive."""
    members = _members(path)
    for end, what in _MEMBERS:
        if any(member.endswith(end) for member in members):
            return what
    return None if is_checkpoint(path) or not members else f"a zip archive: {_UNPACK}"


def _members(path: Path) -> list[str]:
    """Names of the files in a zip archive; empty if it is not one, or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile:
        return []
