# `make demo` runs the benchmark, `make test` its tests, `make quick` those that are quick; all install what they need into .venv first.

PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
VENV := .venv
INSTALLED := $(VENV)/installed
RUN := . $(VENV)/bin/activate &&
# uv installs, where there is one
UV := $(shell command -v uv 2>/dev/null)
MAKE_VENV := $(if $(UV),uv venv --quiet --clear --python $(PYTHON),$(PYTHON) -m venv)
PIP_INSTALL := $(if $(UV),uv pip install --quiet,python -m pip install --quiet --disable-pip-version-check)
# one thread a process, since there is a process a core: linear algebra's threads spin while they wait
PYTEST := OMP_NUM_THREADS=1 python -m pytest --numprocesses $(CORES)

.PHONY: demo test quick check docs install clean

demo: $(INSTALLED)
	$(RUN) snakemake --cores $(CORES) --quiet rules host reason

test: $(INSTALLED)
	$(RUN) $(PYTEST)

# what a change should pass in under a minute, before the rest
quick: $(INSTALLED)
	$(RUN) $(PYTEST) -m "not slow"

check: $(INSTALLED)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) snakefmt --check Snakefile workflow
	$(RUN) python tests/support/lint.py
	$(RUN) lint-imports
	$(RUN) mypy
	$(RUN) codespell *.md docs core segmentation studies baselines mispel evaluation workflow tests benchmarks config

docs: $(INSTALLED)
	$(RUN) python -m workflow.site

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(MAKE_VENV) $(VENV)
	$(RUN) $(PIP_INSTALL) -r requirements.lock
	$(RUN) $(PIP_INSTALL) --no-deps --editable .
	$(RUN) python -m workflow.compile_kernels
	touch $@

clean:
	rm -rf $(VENV) .snakemake
