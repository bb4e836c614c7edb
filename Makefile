# `make` runs the default study, `make test` the whole test suite; both build .venv if missing.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CORES ?= all
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
empty :=
space := $(empty) $(empty)
SMOKE := --configfile config/config.yaml config/smoke.yaml

.DEFAULT_GOAL := study
.PHONY: study smoke smoke-mechanism test benchmark quotations check format docs clean status unlock

study: .venv/installed
	@$(SNAKEMAKE)
	@$(MAKE) --no-print-directory reports/report.html

# The panel in miniature, in about a minute; then all sweeps, in another two.
smoke: .venv/installed
	@$(SNAKEMAKE) panel $(SMOKE)

smoke-mechanism: .venv/installed
	@$(SNAKEMAKE) mechanism $(SMOKE)

# What is done, what will run, and the module or setting that is the cause.
status: .venv/installed
	@PYTHONPATH=src $(BIN)/python -m fimtiers.status $(ARGS)

# Tests that need a program or a right which this machine lacks are left out, and said to be.
ABSENT := $(if $(shell PATH=$$PATH:/usr/sbin command -v slurmctld),,slurm) \
          $(if $(shell command -v chromedriver),,browser) \
          $(if $(filter 0,$(shell id -u)),,root slurm)

# Files of tests are shared out among processes, each on one thread.
test: export OMP_NUM_THREADS := 1
test: .venv/installed
	@$(foreach mark,$(sort $(ABSENT)),echo 'without the tests marked $(mark), see pyproject.toml';)
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile $(if $(strip $(ABSENT)),-m 'not ($(subst $(space), or ,$(strip $(sort $(ABSENT)))))')

# The Fisher engine against other libraries, on one thread; about ten minutes.
benchmark: export OMP_NUM_THREADS := 1
benchmark: export PYTHONPATH := src:.
benchmark: .venv-benchmark/installed
	@.venv-benchmark/bin/python -m benchmarks.fisher.measure
	@.venv-benchmark/bin/python -m benchmarks.fisher.report

# After a default study: fill in anew what the pages quote from results/, and say what changed.
quotations: export PYTHONPATH := src
quotations: .venv/installed
	@$(BIN)/python -m fimtiers.quotations results README.md $(patsubst %.csv,%.md,$(wildcard docs/*/*.csv))

# The documentation, into site/. A warning, such as of a broken link, is an error; --quiet would hide
# warnings from --strict.
docs: export PYTHONPATH := src
docs: export NO_MKDOCS_2_WARNING := 1
docs: .venv/installed
	@$(BIN)/mkdocs build --strict

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow

reports/report.html: $(wildcard results/figures/*.svg results/tables/*)
	@mkdir -p reports
	@$(BIN)/snakemake --quiet all --report $@

# The stamp is written last, so an installation that was interrupted is begun anew.
.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo 'fimtiers needs Python 3.11; set PYTHON=/path/to/python3.11'; exit 1; }
	@rm -rf .venv && $(PYTHON) -m venv .venv \
	  || { echo 'no venv module: on Debian and Ubuntu, apt install python3-venv'; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@

# torchvision comes along for a peer that does not need it, built for another torch.
.venv-benchmark/installed: requirements-benchmark.txt
	@$(PYTHON) -m venv --clear .venv-benchmark
	@.venv-benchmark/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@.venv-benchmark/bin/python -m pip uninstall --quiet --yes torchvision
	@touch $@

# After a run was killed by force: allow runs again. Make sure first that none is alive.
unlock: .venv/installed
	@$(BIN)/snakemake --unlock

clean:
	rm -rf results reports logs site
