# Stages of the services 'triton' and 'engine'. The build context is requirements/: code and models
# are mounted, so that changing them needs no new image.
ARG TRITON_IMAGE
FROM ${TRITON_IMAGE} AS triton
COPY container-gpu.txt /requirements/
RUN python3 -m pip install --no-cache-dir --no-deps --require-hashes --requirement /requirements/container-gpu.txt
# CuPy's cache of compiled kernels. The container's user has no home directory.
ENV CUPY_CACHE_DIR=/tmp/cupy
# 'yolostream serve' needs a newer Python than the image has; the model steps use the image's.
COPY uv.txt client.txt /requirements/
ENV UV_PYTHON_INSTALL_DIR=/opt/python
RUN python3 -m pip install --no-cache-dir --no-deps --require-hashes --requirement /requirements/uv.txt \
 && uv venv --python 3.11 /opt/tools \
 && uv pip install --no-cache --python /opt/tools/bin/python --no-deps --require-hashes \
    --requirement /requirements/client.txt

# trtexec is in that image, and the very one that will serve.
FROM triton AS engine
COPY dev.txt /requirements/
RUN uv pip install --no-cache --python /opt/tools/bin/python --no-deps --require-hashes \
    --requirement /requirements/dev.txt
ENV PATH=/opt/tools/bin:${PATH} HOME=/tmp
