# `make` runs the default study, `make test` the whole test suite; both build .venv if missing.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
CORES ?= all
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
empty :=
space := $(empty) $(empty)
SMOKE := --configfile config/config.yaml config/smoke.yaml

.DEFAULT_GOAL := study
.PRECIOUS: .venv/installed .venv-benchmark/installed
.PHONY: study smoke smoke-mechanism test benchmark quotations check format docs clean status unlock
.PHONY: figure smoke-figure smoke-report clean-smoke

study: .venv/installed
	@$(SNAKEMAKE)
	@$(MAKE) --no-print-directory reports/report.html

# The panel in miniature, in about a minute; then all sweeps, in another two.
smoke: .venv/installed
	@$(SNAKEMAKE) panel $(SMOKE)

smoke-mechanism: .venv/installed
	@$(SNAKEMAKE) mechanism $(SMOKE)

smoke-report: smoke
	@mkdir -p reports
	@$(BIN)/snakemake --quiet all --report reports/smoke.html $(SMOKE) \
	  -- panel $(if $(wildcard results/smoke/tables/sweeps_runs.csv),mechanism)

# One figure, by its number or the beginning of its name: make figure F=2, make figure F=dichotomy.
figure smoke-figure status: export PYTHONPATH := src$(if $(PYTHONPATH),:$(PYTHONPATH))
figure: .venv/installed
	@figures=$$($(BIN)/python -m fimtiers.figures '$(F)' config/config.yaml) \
	  && $(SNAKEMAKE) $$figures

smoke-figure: .venv/installed
	@figures=$$($(BIN)/python -m fimtiers.figures '$(F)' config/config.yaml config/smoke.yaml) \
	  && $(SNAKEMAKE) $(SMOKE) -- $$figures

# What is done, what will run, and the module or setting that is the cause.
status: .venv/installed
	@$(BIN)/python -m fimtiers.status $(ARGS)

# Tests that need a program or a right which this machine lacks are left out, and said to be.
ABSENT := $(if $(shell PATH=$$PATH:/usr/sbin command -v slurmctld),,slurm) \
          $(if $(shell command -v chromedriver),,browser) \
          $(if $(filter 0,$(shell id -u)),,root slurm)

# Files of tests are shared out among processes, each on one thread.
test: export OMP_NUM_THREADS := 1
test: .venv/installed
	@$(foreach mark,$(sort $(ABSENT)),echo 'without the tests marked $(mark), see pyproject.toml';)
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile $(if $(strip $(ABSENT)),-m 'not ($(subst $(space), or ,$(strip $(sort $(ABSENT)))))')

# The Fisher engine against other libraries, on one thread; about fifty minutes.
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

# What an environment holds is said by a copy of its lock in it. The copy's content counts, and not
# its time: one that differs, or is not there, is made anew, in place of the old one when it is whole.
INSTALL := "$(PYTHON)" src/fimtiers/installation.py
if_differs = $(shell cmp -s $(1) $(2) || echo always)
always:

.venv/installed: $(call if_differs,requirements.lock,.venv/installed)
	@$(INSTALL) .venv requirements.lock

# torchvision comes along for a peer that does not need it, built for another torch.
.venv-benchmark/installed: $(call if_differs,requirements-benchmark.txt,.venv-benchmark/installed)
	@$(INSTALL) .venv-benchmark requirements-benchmark.txt --without torchvision

# After a run was killed by force: allow runs again. Make sure first that none is alive.
unlock: .venv/installed
	@$(BIN)/snakemake --unlock

clean-smoke:
	rm -rf results/smoke logs/smoke reports/smoke.html

clean:
	rm -rf results reports logs site
