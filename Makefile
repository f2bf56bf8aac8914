# The short way to everything; each target says what it does in `make help`.
# Paths are relative, so a checkout may lie in a folder with spaces in its name.
.POSIX:
.SUFFIXES:

PYTHON = python3
IMAGE = node-bun-claude
BUILD_FLAGS =
PYTEST_FLAGS =
BENCH_FLAGS =

BIN = .venv/bin
LLB = pipeline/engine/buildkit
PROTOC = $(BIN)/python -m grpc_tools.protoc --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy -I $(LLB) llb.proto

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: .venv/.project ## Make the virtual environment and install the system packages a build needs
	@ci/setup

image: setup ## Build an image and test it: make image IMAGE=node-bun-claude
	$(BIN)/agc build $(BUILD_FLAGS) $(IMAGE)

test: setup ## Run all tests; those this machine cannot run are skipped with a reason
	@ci/setup --test
	$(BIN)/pytest $(PYTEST_FLAGS)

test-unit: .venv/.project ## Run the tests that need no engine and no network
	$(BIN)/pytest $(PYTEST_FLAGS) tests/unit

bench: setup ## Compare with Dockerfiles and write docs/benchmarks.md; about half an hour
	@ci/setup --test
	$(BIN)/python -m tests.bench $(BENCH_FLAGS)

docs: .venv/.project ## Build the site into site/ and check every link in it
	$(BIN)/python ci/site.py

check: .venv/.project check-style check-types check-imports check-generated ## Check style, types, imports and generated files

check-style: .venv/.project
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: .venv/.project
	$(BIN)/mypy

check-imports: .venv/.project
	$(BIN)/lint-imports

check-generated: .venv/.project
	$(BIN)/agc schema --check
	$(BIN)/agc generate --check
	@rm -rf .venv/proto && mkdir .venv/proto
	@$(PROTOC) --python_out=.venv/proto --mypy_out=quiet:.venv/proto
	@for file in llb_pb2.py llb_pb2.pyi; do \
	  diff -u "$(LLB)/$$file" ".venv/proto/$$file" || { echo "$(LLB)/$$file is out of date: make proto" >&2; exit 1; }; \
	done

fmt: .venv/.project ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: .venv/.project ## Generate the protobuf code from llb.proto
	$(PROTOC) --python_out=$(LLB) --mypy_out=quiet:$(LLB)

lock: setup ## Resolve what is missing or stale in registry/lock/
	$(BIN)/agc lock

requirements: .venv/.project ## Pin the Python packages of requirements/dev.txt anew
	ci/lock-requirements

clean: ## Remove what the other targets made in this folder
	rm -rf .venv out site dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find pipeline tests -name __pycache__ -type d -exec rm -rf {} +

# Made again when the pins change. Debian keeps venv's other half, ensurepip, in a package of its own.
.venv/.requirements: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || ci/setup
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

.venv/.project: .venv/.requirements pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q pipeline
	@touch $@

.PHONY: help setup image test test-unit bench docs check check-style check-types check-imports check-generated fmt proto lock \
  requirements clean
