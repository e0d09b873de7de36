# make demo       an image from a prompt, on the HTP emulator
# make test-fast  the tests of a minute: units and contracts
# make test       lint, types and all tests but the full-size ones, as CI runs them
# make drift      every set of versions tried again, and the newest of everything
# make lock       requirements/*.txt anew, with the newest versions that pyproject.toml allows
# make worker     the phone's worker, built anew from worker/src
# make socs       every SoC that has a profile: compiled, verified, its images looked at
# make bench      the benchmarks whose figures stand in docs/benchmarks.md
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROMPT ?= a red circle on a blue background

.PHONY: demo test-fast test lint drift lock worker bench socs full-size checkpoint clean

$(BIN)/python:
	@test "$$(uname -s) $$(uname -m)" = "Linux x86_64" || \
	  { echo "qnn-sd runs on Linux on x86-64, this is $$(uname -s) on $$(uname -m): docs/windows.md, docs/macos.md"; exit 8; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || \
	  { echo "qnn-sd needs Python 3.11 to 3.14, $(PYTHON) is another: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The locked versions first, the package itself with nothing asked for beside them.
PACKAGE := --quiet --no-deps --no-build-isolation --editable .

$(VENV)/.base: pyproject.toml requirements/base.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements/base.txt
	$(BIN)/python -m pip install $(PACKAGE)
	@touch $@

# Torch comes with its CUDA libraries: 6 GB, some minutes. Only tests and training need it.
$(VENV)/.dev: pyproject.toml requirements/dev.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements/dev.txt
	$(BIN)/python -m pip install $(PACKAGE)
	@touch $@ $(VENV)/.base

demo: $(VENV)/.base
	$(BIN)/qnn-sd run "$(PROMPT)" -o demo.png --seed 1

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -m "unit or contract"

# Two processes share the test files, on any number of cores.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

full-size: $(VENV)/.dev
	$(BIN)/python -m pytest -m full_size

# Half an hour on two cores, some GB of disk in build/drift.
drift: $(VENV)/.base
	$(BIN)/python tools/drift.py

LOCK := build/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate \
  --custom-compile-command "make lock" pyproject.toml requirements/build.in

lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv
	$(LOCK) --output-file requirements/base.txt
	$(LOCK) --extra phone --extra hub --extra dev --output-file requirements/dev.txt

# Needs Maven Central once. The bytes are the committed ones, whichever Java there is.
worker: $(VENV)/.dev
	$(BIN)/python worker/build_worker.py

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/generate.py
	$(BIN)/python benchmarks/contact_sheet.py
	$(BIN)/python benchmarks/quantization.py
	$(BIN)/python benchmarks/htp_time.py
	$(BIN)/python benchmarks/htp_forms.py
	$(BIN)/python benchmarks/phone_path.py

# An hour on two cores.
socs: $(VENV)/.dev
	$(BIN)/python benchmarks/socs.py

# Trains the demo checkpoint anew: about an hour on two cores.
checkpoint: $(VENV)/.dev
	$(BIN)/python assets/tiny_sd_trainer/train.py --work build/tiny-sd --out assets/tiny-sd

clean:
	rm -rf $(VENV) build dist
