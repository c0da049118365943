# The service 'deepstream'. GPUs without an encoder (A100, H100, H200) need x264, and messages to
# Kafka librdkafka; NVIDIA's image leaves both to its users to install.
ARG DEEPSTREAM_IMAGE
FROM ${DEEPSTREAM_IMAGE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends librdkafka1 \
 && bash /opt/nvidia/deepstream/deepstream/user_additional_install.sh \
 && rm -rf /var/lib/apt/lists/*
ENV HOME=/tmp
