"""What DeepStream's nvinferserver does with frames and a Triton, replayed without DeepStream.

It reads the shipped configuration files, speaks the same raw protocol in the same order, parses
the answers by the same rules, and refuses to start where the real one refuses. Facts are from the
element's published source. Stand-ins, because the real ones are closed or need a GPU:

- PyAV and OpenCV for NVDEC, nvstreammux and NvBufSurfTransform: the pixels differ by a few levels.
- a frame of each source in turn for nvstreammux's choice of frames; results do not depend on it.
"""
