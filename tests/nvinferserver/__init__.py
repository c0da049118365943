"""What DeepStream's nvinferserver does with frames and a Triton, replayed without DeepStream.

It reads the shipped configuration files, speaks the same raw protocol in the same order, parses
the answers by the same rules, and refuses to start where the real one refuses. Facts are from the
element's published source, and from a run of the real one: start, requests, parser and the way back
to the muxer's pixels are its own. Stand-ins, because the real ones are closed or need a GPU:

- FFmpeg for NVDEC, which decodes to the same bytes.
- `scaling` for NvBufSurfTransform; it says what of it is known, and what is fitted.
- OpenCV for the legacy nvstreammux's scaling, which was never measured; the new one does not scale.
- a frame of each source in turn for nvstreammux's choice of frames; results do not depend on it.
"""
