# `make example` and `make test` do all their own set-up: system packages (as root), .venv, SSP libraries.
# Choose an interpreter with PYTHON=..., for example `make test PYTHON=python3.12`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?=
BIN := .venv/bin

# Nothing from the user's own Python set-up may reach the environment of the project.
unexport PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE := 1
# One thread per process: the parallelism is over walkers and targets.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1

# Slurm and PostgreSQL are installed by the set-up where it may; a missing one is then a failure, not a skipped test.
REQUIRE_SERVICES := $(if $(filter 0,$(shell id -u)),1,)
PYTEST = ORCHESTRATOR_REQUIRE_LIBRARIES=1 ORCHESTRATOR_REQUIRE_SERVICES=$(REQUIRE_SERVICES) \
	PATH="$$PATH:/usr/sbin:/sbin" $(BIN)/pytest

# Many tests wait for real services or start processes of their own: more would only disturb each other.
TEST_PROCESSES := 2

# SSP libraries, fetched once into the user's data folder.
EXAMPLE_LIBRARIES := MIUSCAT PopStar
TEST_LIBRARIES := MIUSCAT PopStar MaStar M11-MILES M11-ELODIE M11-STELIB

.PHONY: help setup setup-test libraries test-libraries example table production test lint types bench notebook clean

help:  ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

setup:  ## environment to run the package (.venv)
	@bash tools/setup.sh "$(PYTHON)" mpi

setup-test: setup  ## the same with the tools of the tests
	@bash tools/setup.sh "$(PYTHON)" mpi,test,compare

libraries: setup  ## SSP libraries of the example (121 MB, once)
	@$(BIN)/orchestrator ssp fetch $(EXAMPLE_LIBRARIES)

test-libraries: setup-test  ## those of the tests
	@$(BIN)/orchestrator ssp fetch $(TEST_LIBRARIES)

example: setup libraries  ## fit a real galaxy in three stages, with figures
	MPLBACKEND=Agg $(BIN)/python examples/staged_fit.py

table: setup libraries  ## fit eight MaNGA spectra and a DESI galaxy, print a table (4 minutes)
	MPLBACKEND=Agg $(BIN)/python examples/table_of_galaxies.py

production: setup libraries  ## the same galaxies as a production, exported to FITS (5 minutes)
	$(BIN)/python examples/production.py

lint: setup-test  ## ruff
	$(BIN)/ruff check .

types: setup-test  ## mypy
	$(BIN)/mypy

test: setup-test test-libraries lint types  ## ruff, mypy and every test but the slow ones
	$(PYTEST) -m "not slow" -n $(TEST_PROCESSES) --dist worksteal

bench: setup-test libraries  ## speed of the likelihoods: one JSON line per case
	$(BIN)/python benchmarks/bench_likelihood.py

notebook: setup libraries  ## open the example as a notebook
	@bash tools/setup.sh "$(PYTHON)" mpi,notebook
	$(BIN)/jupyter lab examples

clean:  ## remove the environment and everything that was built
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
