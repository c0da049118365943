PYTHON ?= python3
OUTPUT := output
TORCH_TESTS := $(shell grep -l REQUIRE_TORCH tests/test_*.py)
# The profile of .venv-server. 'make gpu' sets it, and later commands use the same.
GPU_GOAL := $(filter gpu gpu-check,$(MAKECMDGOALS))
SERVER := $(firstword $(and $(GPU_GOAL),$(TORCH),.torch-gpu) \
	$(notdir $(wildcard .venv-server/.torch-gpu .venv-server/.onnx-gpu .venv-server/.cudnn-gpu)) $(and $(GPU_GOAL),.onnx-gpu) .cpu)

.PHONY: help
help: ## print this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.PHONY: demo
demo: install ## detect objects in both demo videos with a real Triton; results in output/
	.venv/bin/yolostream detect --demo --output $(OUTPUT)

.PHONY: live
live: install ## run the live service with the demo videos as cameras: http://127.0.0.1:8080
	.venv/bin/yolostream run --demo

# Three processes on two cores, because tests often wait for a server or a camera.
.PHONY: test
test: install .venv/.dev .venv-uv/.uv check ## run all checks and tests that need no GPU, with a real Triton
	.venv/bin/pytest -m "not alone" --numprocesses 3 --dist loadfile --no-loadscope-reorder
	.venv/bin/pytest -m alone

.PHONY: test-docker
test-docker: install .venv/.dev ## containers on a real engine, which is started where none runs (root)
	REQUIRE_DOCKER=1 REQUIRE_DOCKER_COMPOSE=1 .venv/bin/pytest tests/test_docker.py tests/test_compose.py

FAULTS := pauses kills outages fuzz reconnects cameras soak live

# All of them run, even if one fails. Each prints its result at the end.
.PHONY: faults
faults: install .venv/.dev ## pause, kill and fuzz a server while clients check every answer; fuzz the API (hours)
	failed=; for fault in $(FAULTS); do PYTHONPATH=tests .venv/bin/python -m tests.faults.$$fault || failed=1; done; \
	EXAMPLES=500 .venv/bin/pytest --timeout 0 tests/test_service_fuzz.py || failed=1; \
	test -z "$$failed"

.PHONY: tools
tools: install .venv-tools/.tools ## make the environment for tools/ with PyTorch: export, evaluate, train (ANY_TORCH=1: any build of it)

.PHONY: test-tools
test-tools: tools ## run the tests that need PyTorch: network, checkpoints, export, training
	REQUIRE_TORCH=1 .venv-tools/bin/python -m pytest $(TORCH_TESTS)

.PHONY: check
check: .venv/.dev ## check formatting, lint and types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

# From the package index that uv is set to, as by UV_DEFAULT_INDEX, or else from PyPI.
UV_COMPILE := .venv-uv/bin/uv pip compile --quiet --no-deps --universal --python-version 3.11 \
	--generate-hashes --no-annotate --custom-compile-command 'make pins'

# A list that stays the same keeps its date, or else environments would be made again.
.PHONY: pins
pins: .venv-uv/.uv ## write requirements/*.txt, with hashes, after a change of requirements/*.in
	@for list in $(basename $(wildcard requirements/*.in)); do \
		$(UV_COMPILE) --output-file $$list.new $$list.in || exit 1; \
		cmp --silent $$list.new $$list.txt && rm $$list.new || mv $$list.new $$list.txt; \
	done

.PHONY: reference
reference: install ## write the generated pages of docs/, after a change of the API, cameras.yaml or the errors
	.venv/bin/python -m tools.reference

SITE := $(OUTPUT)/site

.PHONY: docs
docs: .venv-docs/.docs ## build the documentation as a site: output/site/index.html
	.venv-docs/bin/zensical build --strict --clean
	.venv-docs/bin/python -m tools.site $(SITE)
	@echo "To see it, with its search: python3 -m http.server --bind 127.0.0.1 --directory $(SITE)"

.PHONY: format
format: .venv/.dev ## format the code
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

.PHONY: serve
serve: install ## run Triton until Ctrl-C, on ports 8000 to 8002
	.venv/bin/yolostream serve

COMPOSE := docker compose
# Containers run as the calling user, who then owns the files that they write.
export YOLOSTREAM_USER ?= $(shell id -u):$(shell id -g)

.PHONY: up
up: ## in containers on a GPU: build the plan, serve it on ports 8000 to 8002, run the demo
	mkdir -p output
	$(COMPOSE) build
	$(COMPOSE) run --rm client

.PHONY: up-cpu
up-cpu: ## like 'up', but without a GPU and without NVIDIA's images
	mkdir -p output
	$(COMPOSE) --file docker-compose.cpu.yaml build
	$(COMPOSE) --file docker-compose.cpu.yaml run --rm client

# As with Compose, a variable of the shell beats the line of .env.
PYTHON_IMAGE ?= $(shell sed -n 's/^PYTHON_IMAGE=//p' .env)

.PHONY: image
image: ## an image with code, models and the CPU server inside; what is in it goes to output/sbom-*
	mkdir -p output
	docker build --file docker/python.Dockerfile --target yolostream --tag yolostream \
		--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE) \
		--build-arg VERSION=$$(sed -n 's/__version__ = "\(.*\)"/\1/p' clients/yolostream/_version.py) \
		--build-arg REVISION=$$(git rev-parse HEAD) .
	for part in client server; do docker run --rm --entrypoint cat yolostream \
		/usr/share/doc/yolostream/$$part.cdx.json > output/sbom-$$part.cdx.json || exit 1; done

.PHONY: deepstream
deepstream: ## run the demo videos through DeepStream, in containers on a GPU
	mkdir -p output
	$(COMPOSE) --profile deepstream up --build deepstream

.PHONY: down
down: ## stop and remove the containers
	$(COMPOSE) --profile deepstream --profile live --profile monitoring down --remove-orphans

.PHONY: speed
speed: install .venv/.dev ## measure the ratios that docs/performance.md quotes (10 minutes)
	.venv/bin/python -m loadtest.speed
	.venv/bin/python -m loadtest.pages

GPU_OUTPUT := $(OUTPUT)/gpu
GPU_LOG := $(GPU_OUTPUT)/check.log
GPU_RESULTS := $(if $(QUICK),$(GPU_OUTPUT),loadtest/results)
GPU_NETWORK := $(or $(ONNX),$(GPU_OUTPUT)/yolov7.onnx)
GPU_PROFILES := --profile onnx-gpu --profile cudnn-gpu $(if $(filter .torch-gpu,$(SERVER)),--profile torch-gpu)

.PHONY: gpu
gpu: install .venv/.gpu ## make the two environments for an NVIDIA GPU (TORCH=1: with the profile torch-gpu)

# With pipefail, tee does not hide the exit code of a failed run.
.PHONY: gpu-check
gpu-check: SHELL := bash
gpu-check: .SHELLFLAGS := -o pipefail -c
gpu-check: gpu .venv/.dev .venv/.deepstream $(GPU_NETWORK) ## on a GPU: run its tests and benchmark (TORCH=1, QUICK=1, ONNX=FILE)
	mkdir -p $(GPU_OUTPUT)
	REQUIRE_GPU=1 REQUIRE_DEEPSTREAM=1 .venv/bin/python -m pytest tests/test_gpu_*.py 2>&1 | tee $(GPU_LOG)
	.venv/bin/python -m loadtest.gpu $(GPU_PROFILES) $(if $(QUICK),--quick) --onnx $(GPU_NETWORK) \
		--raw $(GPU_OUTPUT) --output $(GPU_RESULTS)/gpu.json 2>&1 | tee --append $(GPU_LOG)
	.venv/bin/python -m loadtest.endtoend $(if $(QUICK),--quick) --onnx $(GPU_NETWORK) \
		--raw $(GPU_OUTPUT)/endtoend --output $(GPU_RESULTS)/endtoend.json 2>&1 | tee --append $(GPU_LOG)
	$(if $(QUICK),,.venv/bin/python -m loadtest.pages)

# A network of the real size with random weights, made once with PyTorch.
$(GPU_OUTPUT)/yolov7.onnx: | .venv-tools/.tools
	mkdir -p $(@D)
	.venv-tools/bin/python -c "from pathlib import Path; from loadtest.gpu import bench; bench.network_at(Path('$@.new'))"
	mv $@.new $@

# Results of a quick run, or with another server, are not published.
LOADTEST_RESULTS := $(if $(QUICK)$(URL),$(OUTPUT)/loadtest,loadtest/results)
LOADTEST_PARTS := perf_analyzer capacity
LOADTEST_OPTIONS := $(if $(QUICK),--quick) $(if $(URL),--url $(URL))

# If perf_analyzer cannot be fetched, the other part still runs.
.PHONY: loadtest
loadtest: install .venv/.dev ## measure throughput and the number of cameras (7 minutes; QUICK=1, URL=host:8001)
	rm -f $(LOADTEST_PARTS:%=$(LOADTEST_RESULTS)/%.json)
	-.venv/bin/python -m loadtest.perf_analyzer $(LOADTEST_OPTIONS) --output $(LOADTEST_RESULTS)/perf_analyzer.json
	.venv/bin/python -m loadtest.capacity $(LOADTEST_OPTIONS) $(if $(QUICK),,--overload 60) --output $(LOADTEST_RESULTS)/capacity.json
	$(if $(QUICK)$(URL),,.venv/bin/python -m loadtest.pages)

.PHONY: capacity
capacity: install .venv/.dev ## measure how many cameras one server can process, and what limits them
	.venv/bin/python -m loadtest.capacity $(LOADTEST_OPTIONS) --output $(OUTPUT)/loadtest/capacity.json

.PHONY: videos
videos: install ## render the demo videos and their ground truth again
	.venv/bin/python -m tools.make_videos

.PHONY: wheel
wheel: install ## build the package for machines without this repository: dist/yolostream-*.whl
	.venv/bin/hatchling build

.PHONY: install
install: .venv/.service .venv-server/$(SERVER) ## make the two environments: client and server

.PHONY: traces
traces: install .venv/.traces ## install the packages for traces of 'yolostream run'

.PHONY: helm
helm: .venv/.helm ## install what the tests of the chart for Kubernetes need: Helm and schemas

.PHONY: helm-schema
helm-schema: install ## write the chart's schema, after docs/cameras.schema.json has changed
	.venv/bin/python -m tools.chart_schema

.PHONY: clean
clean: ## remove environments and results
	rm -rf .venv .venv-server .venv-tools .venv-perf .venv-docs .venv-uv .cache dist $(OUTPUT)

# --no-deps, because the lists are complete, and some packages have contradictory requirements.
PIP := bin/python -m pip install --quiet --disable-pip-version-check --no-deps
PIP_INSTALL := $(PIP) --require-hashes

.venv/.client: requirements/client.txt requirements/build.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/$(PIP_INSTALL) -r requirements/client.txt -r requirements/build.txt
	.venv/$(PIP) --no-build-isolation --editable .
	@touch $@

.venv/.service: requirements/service.txt .venv/.client
	.venv/$(PIP_INSTALL) -r requirements/service.txt
	@touch $@

.venv/.traces: requirements/traces.txt .venv/.service
	.venv/$(PIP_INSTALL) -r requirements/traces.txt
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.traces
	.venv/$(PIP_INSTALL) -r requirements/dev.txt
	@touch $@

.venv/.helm: requirements/helm.txt .venv/.dev
	.venv/$(PIP_INSTALL) -r requirements/helm.txt
	@touch $@

TOOLS := $(patsubst %,requirements/%.txt,client build service traces dev)
# Builds of PyTorch without CUDA are not on PyPI, and need fewer packages.
ANY_BUILD := bin/python -m pip install --quiet --disable-pip-version-check $(shell grep ^torch== requirements/tools.in)
.venv-tools/.tools: $(TOOLS) requirements/tools.txt pyproject.toml
	$(PYTHON) -m venv .venv-tools
	.venv-tools/$(PIP_INSTALL) $(TOOLS:%=-r %)
	.venv-tools/$(if $(ANY_TORCH),$(ANY_BUILD),$(PIP_INSTALL) -r requirements/tools.txt)
	.venv-tools/$(PIP) --no-build-isolation --editable .
	@touch $@

.venv-uv/.uv: requirements/uv.txt
	$(PYTHON) -m venv .venv-uv
	.venv-uv/$(PIP_INSTALL) -r requirements/uv.txt
	@touch $@

.venv-docs/.docs: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/$(PIP_INSTALL) -r requirements/docs.txt
	@touch $@

.venv/.gpu: requirements/gpu-client.txt .venv/.client
	.venv/$(PIP_INSTALL) -r requirements/gpu-client.txt
	@touch $@

.venv/.deepstream: requirements/deepstream.txt .venv/.gpu
	.venv/$(PIP_INSTALL) -r requirements/deepstream.txt
	@touch $@

# The environment is made from scratch: a leftover ONNX Runtime for the CPU would hide the one for GPUs.
.venv-server/.cpu: requirements/server.txt
.venv-server/.onnx-gpu .venv-server/.cudnn-gpu: requirements/server-gpu.txt
.venv-server/.torch-gpu: requirements/server-gpu.txt requirements/server-torch.txt
.venv-server/.cpu .venv-server/.onnx-gpu .venv-server/.cudnn-gpu .venv-server/.torch-gpu: | .venv/.client
	.venv/bin/yolostream install-server --profile $(@F:.%=%)
