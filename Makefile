# Linux on x86_64 with Python 3.11 or newer is all that is needed:
#   make quickstart   the whole path on the embedded model; results in out/quickstart
#   make test         the test suite
#   make test-fast    what of it needs no engine, no Ray, no browser and no training
# Each sets up .venv first, from requirements/cpu.txt. Also: install, lint, wheel, clean.

VENV := .venv
OUT ?= out/quickstart
# the first of these that runs and is new enough; a name alone may be a dead shim
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
PIP := $(VENV)/bin/python -m pip
LOCK := requirements/cpu.txt
STAMP := $(VENV)/.installed
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
# over two processes; tests that start an engine or Ray keep to one of them (tests/conftest.py)
SPREAD := --numprocesses 2
# byte code that nothing here runs: a third of the compile time
NOT_COMPILED := /(tests?|testing|rllib)/|transformers/models/(?!auto|qwen|llama)

.PHONY: install quickstart test test-fast lint wheel clean
.NOTPARALLEL:

install: $(STAMP)

quickstart: $(STAMP)
	$(VENV)/bin/genprm quickstart --out $(OUT)

test: $(STAMP)
	$(VENV)/bin/python -m pytest $(SPREAD)

test-fast: $(STAMP)
	$(VENV)/bin/python -m pytest $(SPREAD) --hypothesis-profile=fast \
		-m "not (browser or engine or ray or slow or training)"

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

wheel: $(STAMP)
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch first: the public index has it only as a CUDA build of several gigabytes, under the version
# without "+cpu", so that asking for "+cpu" there finds nothing and PyTorch's own index is next.
$(STAMP): $(LOCK) pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "genprm needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --no-deps "$$(grep '^pip==' $(LOCK))"
	torch="$$(grep '^torch==' $(LOCK))"; \
	$(PIP) install --no-deps --no-compile "$$torch" 2>/dev/null \
		|| $(PIP) install --no-deps --no-compile --index-url $(TORCH_CPU_INDEX) "$$torch"
	$(PIP) install --quiet --no-deps --no-compile --requirement $(LOCK)
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	-$(VENV)/bin/python -m compileall -q -j 0 -x '$(NOT_COMPILED)' $(VENV)/lib >/dev/null
	@touch $@
