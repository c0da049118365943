"""Calls NVIDIA's NvBufSurfTransform as nvinferserver does, as the reference for its emulation.

It needs an NVIDIA GPU and the packages of `requirements/deepstream.txt`. The emulation is in
`tests/nvinferserver`. `python -m tests.nvbufsurftransform` measures how much they differ.
"""
