# make smoke  whether it works on this machine, in under a minute
# make demo   the whole experiment on a laptop's CPU, on data it makes itself
# make test   its tests
# All set themselves up in .venv first.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

# A link is made anew only where it leads elsewhere: a new one would be newer than results.
link = place=$$(cd "$(1)" && pwd) && { test "$$(readlink $(2))" = "$$place" || ln -sfn "$$place" $(2); }

# How far it is and what runs, where somebody looks; a log that is kept has Snakemake's lines.
LIVE = $$(test -t 2 && echo --logger live)

PYTEST = OMP_NUM_THREADS=1 python -m pytest -n auto --maxprocesses 8 \
	--dist loadfile --no-loadscope-reorder

.PHONY: help setup fetch smoke demo ablations crate test sweep judges fuzz test-cluster test-container docs lint bench bench-gpu slice clean-demo
.DEFAULT_GOAL := help

help:  ## say what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## make .venv with the pinned packages

$(READY): requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	printf '%s\n' "$(CURDIR)/workflow" "$(CURDIR)/workflow/plugins" >"$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')/randommask.pth"
	touch $@

fetch: $(READY)  ## download what the paper's jobs need (on a node with internet)
	snakemake resources

smoke: $(READY)  ## see that it works here: two data sets and a report in under a minute
	snakemake $(LIVE) --profile workflow/profiles/demo --configfile config/smoke.yaml -- all
	@echo
	@echo "Done. Open results/smoke/report.html; its numbers mean nothing. Next: make demo."

demo: $(READY)  ## run the whole experiment on made data (minutes, CPU)
	snakemake $(LIVE) --profile workflow/profiles/demo all
	@echo
	@echo "Done. Open results/demo/report.html, or look into results/demo/tables and figures."

ablations: $(READY)  ## all groups of ablations in the demo's size, after make demo or without
	snakemake $(LIVE) --profile workflow/profiles/demo ablations
	@echo
	@echo "Done. Look into results/demo/ablations."

crate: $(READY)  ## describe a finished run for other programs (RO-Crate): PROFILE=workflow/profiles/slice
	snakemake --profile $(or $(PROFILE),workflow/profiles/demo) -- crate

test: $(READY)  ## run the tests
	$(PYTEST) -m "not sweep"

sweep: $(READY)  ## run what make test leaves out: longer, of what seldom breaks
	$(PYTEST) -m sweep

judges: $(READY)  ## hold our code against the field's own, into docs/judged.md
	JUDGED=docs/judged.md OMP_NUM_THREADS=1 python -m pytest tests/judges

fuzz: $(READY)  ## spoil the inputs of every reader, longer than make test: EXAMPLES=20000
	FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) OMP_NUM_THREADS=1 python -m pytest tests/fuzz

# each process on a machine with a SLURM of its own
test-cluster: $(READY)  ## run the workflow on a SLURM of its own (Debian, root)
	python -m pytest tests/cluster --dist worksteal --tx "4*popen//python=bash tests/cluster/slurm.sh python"

test-container: $(READY)  ## build the container recipes, where docker, buildah or apptainer can
	python -m pytest tests/container

docs: $(READY)  ## build the site of docs/ into site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "Done. Open site/index.html."

lint: $(READY)  ## check style and workflow
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/Snakefile workflow/rules
	snakemake --lint

bench: $(READY)  ## measure speeds beside the usual ways, into results/performance.md
	mkdir -p results
	set -e; for program in $(filter-out bench/gpu% bench/species.py,$(wildcard bench/*.py)); do \
		name=$$(basename $$program .py); \
		printf '## %s\n\n' "$$name"; OMP_NUM_THREADS=1 python $$program; echo; \
	done >results/performance.md
	cat results/performance.md

bench-gpu:  ## measure on a GPU, in eight minutes, into results/performance-gpu.md (GPU_PYTHON=)
	mkdir -p results
	PYTHONPATH=workflow $(or $(GPU_PYTHON),python) bench/gpu.py | tee results/performance-gpu.md

slice: $(READY)  ## run on local copies: make slice GENOME=folder GUE=folder
	@test -d "$(GENOME)" && test -d "$(GUE)" || { echo "usage: make slice GENOME=<folder of FASTA> GUE=<folder with EMP, mouse, prom, ...>"; exit 2; }
	mkdir -p resources/local
	$(call link,$(GENOME),resources/local/genome)
	$(call link,$(GUE),resources/local/GUE)
	snakemake $(LIVE) --profile workflow/profiles/slice all

# The logs stay, which have the hours of all.
clean-demo: $(READY)  ## list what make demo and make ablations made, ask, delete that (YES=1)
	YES=$(YES) python -m randommask.plan.clean --profile workflow/profiles/demo all ablations
