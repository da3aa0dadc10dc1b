# `make demo` and `make test` need Python 3.11+ and make, nothing else: each builds a virtual
# environment of its own on the first call and reuses it until pyproject.toml, or the source of the
# kernels, changes.

PYTHON ?= python3
ARGS ?=
CXX_SOURCES = $(wildcard kktdiff/kernels/*.?pp tests/kernels/*.cpp)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-fast fuzz lint format docs clean

help:  ## show this list
	@echo "Targets (PYTHON=... chooses the interpreter, ARGS=... is passed on):"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

# The matrices are small: where other processes are at work, BLAS's threads would wait for each
# other ten times as long as they compute.
demo: .venv-demo/.stamp  ## learn mini-Sudoku from examples (python -m kktdiff sudoku)
	OPENBLAS_NUM_THREADS=$${OPENBLAS_NUM_THREADS:-1} .venv-demo/bin/python -m kktdiff sudoku $(ARGS)

# Where each processor has tests to run, BLAS's own threads only take it from each other. The tests
# that are about these threads ask for them.
test: .venv-test/.stamp  ## run the tests, e.g. make test ARGS="-k vjp"
	OPENBLAS_NUM_THREADS=$${OPENBLAS_NUM_THREADS:-1} \
		.venv-test/bin/python -m pytest -n auto --dist worksteal $(ARGS)

test-fast: .venv-test/.stamp  ## the tests that take little, in two minutes
	OPENBLAS_NUM_THREADS=$${OPENBLAS_NUM_THREADS:-1} \
		.venv-test/bin/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

fuzz: .venv-test/.stamp  ## solve random problems of every kind, e.g. make fuzz ARGS="--count 2000"
	OPENBLAS_NUM_THREADS=$${OPENBLAS_NUM_THREADS:-1} .venv-test/bin/python -m tests.robustness.fuzz $(ARGS)

lint: .venv-dev/.stamp  ## ruff, mypy, the import direction and clang-format
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy
	.venv-dev/bin/lint-imports
	.venv-dev/bin/clang-format --dry-run --Werror $(CXX_SOURCES)

format: .venv-dev/.stamp  ## rewrite the code as `make lint` wants it
	.venv-dev/bin/ruff check --fix .
	.venv-dev/bin/ruff format .
	.venv-dev/bin/clang-format -i $(CXX_SOURCES)

docs: .venv-dev/.stamp  ## build the documentation into site/
	.venv-dev/bin/mkdocs build --strict

clean:  ## remove environments, caches and everything built
	rm -rf .venv-demo .venv-test .venv-dev build dist site
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	cd kktdiff/kernels && rm -rf CMakeFiles CMakeCache.txt CMakeInit.txt cmake_install.cmake \
		build.ninja Makefile .cmake .ninja_deps .ninja_log .skbuild-info.json *.so *.pyd
	find kktdiff tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# What each environment holds. The stamp is written last, so a broken install is done again.
.venv-demo/.stamp: EXTRAS = demo
.venv-test/.stamp: EXTRAS = test
.venv-dev/.stamp: EXTRAS = dev,docs

.venv-demo/.stamp .venv-test/.stamp: $(wildcard kktdiff/kernels/*.?pp kktdiff/kernels/CMakeLists.txt)
.venv-demo/.stamp .venv-test/.stamp .venv-dev/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "kktdiff needs Python 3.11 or newer; $(PYTHON) is not: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[$(EXTRAS)]"
	@$(@D)/bin/python -m kktdiff info | grep '^kernels'
	@touch $@
