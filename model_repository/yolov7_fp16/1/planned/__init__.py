"""The network as a list of launches on memory that is laid out beforehand.

`plan` has the launches, `planner` makes them of an ONNX graph, `placement` shares memory among the
maps, `decoder` writes the kernel for what follows the last convolutions. All of that needs no GPU.
`runtime` carries the launches out: convolutions by cuDNN (`convolutions`, `cudnn`), the rest by the
kernels in `kernels.cu`.
"""
