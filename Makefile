# Each target builds .venv first when it is missing or older than pyproject.toml.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# How many tests run at a time: more than a small machine has cores, since many only wait.
JOBS ?= 3
# The slow ones wait a third of their time: for processes that start, for what was cut off.
SLOW_JOBS ?= 4
# Two processes that train at once must not spin while they wait for their threads. Bytecode is kept
# where the environment forbids it, too: asserts are rewritten once, not in each worker of each run.
PYTEST := OMP_WAIT_POLICY=PASSIVE OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --dist worksteal

.PHONY: release demo test test-slow check docs pages format bench bench-pediatric clean

demo: $(READY)  ## four synthetic hospitals, federated; a few minutes
	$(BIN)/fedthaw simulate

test: $(READY)  ## the quick tests
	$(PYTEST) --numprocesses $(JOBS)

test-slow: $(READY)  ## real processes, kill -9, Flower's engine, the demo
	$(PYTEST) --numprocesses $(SLOW_JOBS) -m slow

check: $(READY)  ## lint, format, strict types, images
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests benchmarks
	$(BIN)/hadolint docker/server.Dockerfile docker/client.Dockerfile
	$(BIN)/shellcheck docker/demo-setup.sh

docs: $(READY)  ## the site of docs/, into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

pages: $(READY)  ## what of docs/ is made by code: the table of settings, drawings
	$(BIN)/python .ci/docs/configuration.py
	$(BIN)/python .ci/docs/drawings.py

release: $(READY)  ## wheel, sdist, SBOM and checksums of the last commit, into dist/
	$(BIN)/python .ci/release.py

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## the recipe beside stock Flower, memory, aggregation, scale; hours on two cores
	$(BIN)/python -m benchmarks.recipe --data ../shared/data/pediatric \
		--weights ../shared/weights/cxr-resnet50-pediatric.safetensors
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.aggregation
	$(BIN)/python -m benchmarks.scale

bench-pediatric: $(READY)  ## federated against alone and pooled; hours on two cores
	$(BIN)/python benchmarks/pediatric.py --data ../shared/data/pediatric \
		--weights ../shared/weights/cxr-resnet50-pediatric.safetensors

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
