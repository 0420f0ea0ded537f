# make demo        evolve programs for 2**x for about two minutes and show them against the classics
# make test        every test
# make fast        the tests that need about a second or less each
# make lint        ruff and mypy
# make check       lint and test
# make reference   write docs/task.md anew, of the settings' classes
# make clean       remove the environment and what the tools left
#
# Each of them first makes the environment .venv, once; it is brought up to date only when
# pyproject.toml or constraints.txt changed. EXTRAS=dev,learning puts torch into it as well.

VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev
STAMP := $(VENV)/.complete-$(EXTRAS)
DEMO := run examples/exp2
# One more than cores: many tests wait for processes that they started.
PYTEST := $(BIN)/python -m pytest -n $(shell expr $$(nproc) + 1) --maxprocesses 4 --dist worksteal
TESTS :=  # all; or files, names, @FILE with a name a line

# Where it is set, each of the hundreds of processes that the tests start compiles evolver anew.
unexport PYTHONDONTWRITEBYTECODE

# The first interpreter that runs and is new enough. (A name on PATH may be a shim that does not run.)
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	{ command -v "$$python"; break; }; done)

.PHONY: demo test fast lint check reference environment clean

demo: environment
	$(BIN)/evolver $(DEMO)

test: environment
	$(PYTEST) $(TESTS)

fast: environment
	$(PYTEST) -m "not slow" --hypothesis-profile fast

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

reference: environment
	$(BIN)/python -m evolver.checks.reference > docs/task.md

environment: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer is on PATH: install one (Debian 12, \
	Ubuntu 24.04: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3." \
	>&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual \
	environments: install its venv package (Debian, Ubuntu: apt-get install python3-venv), then run \
	make again." >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		--no-build-isolation -e '.$(if $(EXTRAS),[$(EXTRAS)])'
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
