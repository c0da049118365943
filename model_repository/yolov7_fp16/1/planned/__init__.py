"""Computes the network with cuDNN, as a fixed list of launches: the profile `cudnn-gpu`.

When the server starts, `graph` reads the ONNX file, and `planner` turns it into a `plan`: a list of
launches on buffers of float16. `fusing` and `siblings` make the list shorter, and `placement` lets
buffers share memory. `tuning` times what cuDNN offers for each convolution, and `store` keeps the
fastest on disk. `runtime` then records all launches in one CUDA graph for each batch size.

A frame passes the launches in order. `convert` writes its image as float16 with channels last. Each
convolution is one kernel of cuDNN that also adds the bias, applies the activation and adds another
map (`convolutions`, `cudnn`). `kernels.cu` has the kernels that pool, upsample and add maps. The
last launch computes the rows of the output in float32; `decoder` writes its source.
"""
