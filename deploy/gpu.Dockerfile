# The images of docker/triton.Dockerfile ('docker compose build') with code and models inside, for
# machines where no folder can be mounted:
#   docker build --file deploy/gpu.Dockerfile --target triton --tag REGISTRY/yolostream/triton:TAG .
#   docker build --file deploy/gpu.Dockerfile --target engine --tag REGISTRY/yolostream/engine:TAG .
FROM yolostream/triton AS triton
COPY clients /opt/yolostream/clients
COPY model_repository /opt/yolostream/model_repository
WORKDIR /opt/yolostream
ENV PYTHONPATH=/opt/yolostream/clients HOME=/tmp
ENTRYPOINT ["/opt/tools/bin/python", "-m", "yolostream"]

# It builds the plan.
FROM yolostream/engine AS engine
COPY clients /opt/yolostream/clients
COPY model_repository /opt/yolostream/model_repository
COPY tools /opt/yolostream/tools
WORKDIR /opt/yolostream
ENV PYTHONPATH=/opt/yolostream/clients
CMD ["python", "-m", "tools.build_engine", "--help"]
