#: make demo           set up, and run the main job on drawn people; with REPO=org/name, publish and pull the model too
#: make test           set up, and run lint, type checks and the tests
#: make test-contract  all of timm's own model tests, for every model
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo lint types test test-contract clean

help:
	@sed -n 's/^#: //p' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

setup: $(VENV)/.ready

demo: setup
	rm -rf demo
	$(BIN)/fdnm demo --out demo $(if $(REPO),--repo $(REPO))

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

# The whole of timm's own test file for the smallest models, its structural tests for the others.
test: lint types
	$(BIN)/python -m pytest
	FDNM_CONTRACT_MODELS=fdnm_resnet18,lightcnn29,fdnm_lightcnn29 $(BIN)/python -m pytest -p tests.contract.plugin \
		$$($(BIN)/python -m tests.contract.fetch build)
	$(BIN)/python -m pytest -m cfg -p tests.contract.plugin $$($(BIN)/python -m tests.contract.fetch build)

test-contract: setup
	$(BIN)/python -m pytest -p tests.contract.plugin $$($(BIN)/python -m tests.contract.fetch build)

clean:
	rm -rf $(VENV) build demo *.egg-info
