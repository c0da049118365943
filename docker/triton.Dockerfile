# Stages of the services 'triton' and 'engine'. The build context is requirements/: code and models
# are mounted, so that changing them needs no new image.
ARG TRITON_IMAGE
FROM ${TRITON_IMAGE} AS triton
COPY container-gpu.txt /requirements/
RUN python3 -m pip install --no-cache-dir --no-deps --requirement /requirements/container-gpu.txt
# Where CuPy keeps the kernels that it has compiled; whoever runs this has no home here.
ENV CUPY_CACHE_DIR=/tmp/cupy

# trtexec is in that image, and the very one that will serve; our tools need a newer Python.
FROM triton AS engine
COPY client.txt dev.txt /requirements/
ENV UV_PYTHON_INSTALL_DIR=/opt/python
RUN python3 -m pip install --no-cache-dir uv==0.13.9 \
 && uv venv --python 3.11 /opt/tools \
 && uv pip install --no-cache --python /opt/tools/bin/python --no-deps \
    --requirement /requirements/client.txt --requirement /requirements/dev.txt
ENV PATH=/opt/tools/bin:${PATH} HOME=/tmp
