# Every target sets up .venv when it is missing or out of date; with nothing changed that costs a few milliseconds.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.9
READY := .venv/.ready
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1
export DAGSTER_DISABLE_TELEMETRY := 1
# Compiled modules are kept: without them every process, workers too, compiles its imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all check ui bench docs faults fuzz lock sbom

demo: $(READY)
	$(BIN)/metaclip demo

PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test: $(READY)
	$(PYTEST)

# With what is long: the fault campaign, Ray, S3, random kills, benchmarks' rows; and many examples of each property,
# the same ones each time. PROFILE=random draws others.
PROFILE ?= night
test-all: $(READY)
	$(PYTEST) -m "not gpu" --hypothesis-profile $(PROFILE)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(READY)
	$(BIN)/metaclip ui

bench: $(READY)
	$(BIN)/python -m benchmarks

# The site, in build/site: pages lie where they lie in the repository, so that links hold in both.
docs: $(READY)
	rm -rf build/docs
	mkdir -p build/docs
	git ls-files -z '*.md' docs examples CITATION.cff LICENSE NOTICE | tar --null -T - -cf - | tar -xf - -C build/docs
	$(BIN)/zensical build --strict

# At a release: all that is installed, as CycloneDX, and the licence of each.
sbom: $(READY)
	mkdir -p build
	$(BIN)/uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py environment .venv --pyproject pyproject.toml --output-file build/sbom.json
	$(BIN)/uv tool run pip-licenses==5.5.5 --python $(BIN)/python --format=markdown --output-file build/licences.md

N ?= 100
faults: $(READY)
	$(BIN)/python -m tests.faults --times $(N) --results

MINUTES ?= 60
fuzz: $(READY)
	$(BIN)/python -m tests.metaclip_dagster.parsing.fuzzing --minutes $(MINUTES)

lock: .venv/bin/uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--all-extras --group dev --upgrade --output-file requirements.lock pyproject.toml

$(READY): requirements.lock pyproject.toml Makefile | .venv/bin/uv
	$(BIN)/uv pip sync --quiet --python .venv --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python .venv --no-deps --editable .
	touch $@

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=/path/to/it")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
