"""NVIDIA's own NvBufSurfTransform, called as nvinferserver calls it: what the replay is held to.

It needs an NVIDIA GPU and the packages of `requirements/deepstream.txt`. The replay of it is in
`tests/nvinferserver`. `python -m tests.nvbufsurftransform` measures how far apart they are.
"""
