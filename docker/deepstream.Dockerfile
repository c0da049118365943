# The service 'deepstream'. GPUs without an encoder (A100, H100, H200) need x264, which NVIDIA's
# image leaves to its users to install.
ARG DEEPSTREAM_IMAGE
FROM ${DEEPSTREAM_IMAGE}
RUN bash /opt/nvidia/deepstream/deepstream/user_additional_install.sh \
 && rm -rf /var/lib/apt/lists/*
ENV HOME=/tmp
