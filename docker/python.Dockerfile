# Stages of the service 'client', and of 'triton' where there is no GPU. The build context is
# requirements/: code and models are mounted, so that changing them needs no new image.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS client
COPY client.txt /requirements/
RUN python -m pip install --no-cache-dir --no-deps --requirement /requirements/client.txt
ENV HOME=/tmp
ENTRYPOINT ["python", "-m", "yolostream"]

FROM client AS triton-cpu
COPY server.txt /requirements/
RUN python -m venv /opt/server \
 && /opt/server/bin/python -m pip install --no-cache-dir --no-deps \
    --requirement /requirements/server.txt
