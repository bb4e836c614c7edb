# `make` runs the default study, `make test` the whole test suite; both build .venv if missing.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CORES ?= all
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
SMOKE := --configfile config/config.yaml config/smoke.yaml

.DEFAULT_GOAL := study
.PHONY: study smoke test check format docs clean

study: .venv/installed
	@$(SNAKEMAKE)
	@$(MAKE) --no-print-directory reports/report.html

smoke: .venv/installed
	@$(SNAKEMAKE) $(SMOKE)

test: .venv/installed
	@$(BIN)/python -m pytest

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
	@$(PYTHON) -m venv --clear .venv \
	  || { echo 'no venv module: on Debian and Ubuntu, apt install python3-venv'; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@

clean:
	rm -rf results reports logs
