# Everything that is done to labsys more than once. Needs make, Python 3.11-3.13 and a package index that pip can reach.
#
#   make setup    environment in .venv (again only when pyproject.toml or constraints.txt changed)
#   make test     format, lint, types, import contracts and every test, the slow ones too; CI runs this
#   make check    the same without the slow tests, for the minutes between two edits
#   make pose     DeepLabCut too, without which no landmarks are found in videos
#   make demo     the main job on a synthetic runner, into demo-lab/
#   make docs     the tables and figures in docs/ that follow from the code
#   make bench    ours beside the peers, into benchmarks/results.json
#   make accept   the long suite; writes docs/accuracy.md and docs/performance.md

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: setup pose demo test check bench accept lint compiled docs

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
POSE_INSTALLED := $(VENV)/.pose-installed
UV_VERSION := 0.13.9
# PYTHON=... chooses another interpreter; shims that exist but do not run are passed over.
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if "$$p" -c '$(SUITABLE)' 2>/dev/null; then echo "$$p"; break; fi; done)
WORKERS ?= 2
# The public recordings, where this checkout has them beside it.
SHARED_DATA := $(wildcard ../shared/data)
ifneq ($(SHARED_DATA),)
export LABSYS_DATA ?= $(abspath $(SHARED_DATA))
endif

# Where it is set, every process would compile Python's sources anew: seconds each, for hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found. Install one, or run: make setup PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -c '$(SUITABLE)' || { echo "$(VENV) holds an unsuitable Python; delete $(VENV) and try again" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet "uv==$(UV_VERSION)"
	.ci/uv pip install --python $(BIN)/python -e '.[dev]' -c constraints.txt
	@# Last: aniposelib brings the OpenCV wheel that needs graphics libraries; the headless one goes over it (docs/adr/0003).
	.ci/uv pip install --python $(BIN)/python --reinstall --no-deps "$$(grep '^opencv-python-headless==' constraints.txt)"
	@touch $@

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# A worker has one core: a second thread for its small matrices only takes time from the other.
test check: export OPENBLAS_NUM_THREADS ?= 1

test: $(INSTALLED)
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint compiled
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# Takes as long as checking types does, on the other core.
compiled: $(INSTALLED)
	$(BIN)/python -m tests.compile

check: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

docs: $(INSTALLED)
	$(BIN)/python docs/tables.py
	$(BIN)/python docs/figures.py

# DeepLabCut and torch: 7 GB that only looking at videos needs.
pose: $(POSE_INSTALLED)

$(POSE_INSTALLED): $(INSTALLED)
	.ci/uv pip install --python $(BIN)/python -e '.[dev,pose]' -c constraints.txt
	.ci/uv pip install --python $(BIN)/python --reinstall --no-deps "$$(grep '^opencv-python-headless==' constraints.txt)"
	@touch $@

demo: $(INSTALLED)
	$(BIN)/labsys demo --out demo-lab

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

accept: $(INSTALLED)
	.ci/uv pip install --quiet --python $(BIN)/python -e '.[dev,accept]' -c constraints.txt
	.ci/uv pip install --quiet --python $(BIN)/python --reinstall --no-deps "$$(grep '^opencv-python-headless==' constraints.txt)"
	$(BIN)/python -m pytest -p no:xdist --timeout 0 tests/accept
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.report
