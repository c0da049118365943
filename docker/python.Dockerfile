# Stages of the services 'client', 'live' and, where there is no GPU, 'triton': code and models are
# mounted, so that changing them needs no new image. The last stage, 'yolostream', has them inside.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS client
COPY requirements/client.txt requirements/service.txt /requirements/
RUN python -m pip install --no-cache-dir --no-deps --require-hashes \
    --requirement /requirements/client.txt --requirement /requirements/service.txt
ENV HOME=/tmp
ENTRYPOINT ["python", "-m", "yolostream"]

FROM client AS triton-cpu
COPY requirements/server.txt /requirements/
RUN python -m venv /opt/server --without-pip \
 && python -m pip --python /opt/server/bin/python install --no-cache-dir --no-deps --require-hashes \
    --requirement /requirements/server.txt

FROM client AS wheel
COPY requirements/build.txt /requirements/
RUN python -m pip install --no-cache-dir --no-deps --require-hashes --requirement /requirements/build.txt
COPY . /source
WORKDIR /source
RUN python -m hatchling build --target wheel --directory /wheel

FROM triton-cpu AS complete
COPY --from=wheel /wheel /wheel
RUN python -m pip install --no-cache-dir --no-deps --no-index /wheel/*.whl && rm -r /wheel
# Where each command looks for the server's environment.
ENV XDG_CACHE_HOME=/opt/cache
RUN folder=$(python -c "from yolostream.server import installing; print(installing.default_folder())") \
 && mkdir -p "$(dirname "$folder")" \
 && ln -s /opt/server "$folder"

FROM complete AS sbom
COPY requirements/sbom.txt /requirements/
RUN python -m venv /opt/sbom \
 && /opt/sbom/bin/python -m pip install --no-cache-dir --no-deps --require-hashes \
    --requirement /requirements/sbom.txt
RUN mkdir /sbom \
 && for environment in client=$(command -v python) server=/opt/server/bin/python; do \
      /opt/sbom/bin/cyclonedx-py environment --output-reproducible \
        --output-file /sbom/${environment%%=*}.cdx.json ${environment#*=} || exit 1; \
    done

FROM complete AS yolostream
COPY --from=sbom /sbom /usr/share/doc/yolostream
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="yolostream" \
      org.opencontainers.image.description="Object detection on many video streams, served by NVIDIA Triton" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 1000:1000
WORKDIR /work
# Others reach the page as far as its port is published, and without a token: publish it on loopback.
CMD ["run", "--demo", "--listen", "0.0.0.0:8080", "--insecure"]
EXPOSE 8080
