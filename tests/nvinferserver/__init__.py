"""An emulation of DeepStream's nvinferserver, which sends frames to a Triton without DeepStream.

It reads the shipped configuration files, sends the same raw requests in the same order, parses the
answers by the same rules, and refuses to start in the same cases. Its start-up, requests, parser
and conversion to the muxer's pixels follow the element's published source and a recorded run. The
other parts are replaced, because they are closed source or need a GPU:

- FFmpeg replaces NVDEC; it decodes to the same bytes.
- `scaling` replaces NvBufSurfTransform; it documents what is known and what is fitted.
- OpenCV replaces the scaling of the legacy nvstreammux, which was never measured; the new one does
  not scale.
- One frame of each source in turn replaces nvstreammux's choice of frames; the results do not
  depend on it.
"""
