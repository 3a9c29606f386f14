# make serve and make test do all the set-up they need; they want python3 (3.11 or newer), git, make.
PYTHON ?= python3
PORT ?= 8080
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

.PHONY: help serve test soak bench bench-quick image models models-report lint format lock clean

help:
	@echo "make serve          serve the bundled models at http://localhost:$(PORT)"
	@echo "make test           run all tests"
	@echo "make soak           five minutes of random calls to more models than there is memory for"
	@echo "make bench          measure the function beside the floor and its peers, and what batches gain"
	@echo "make bench-quick    the same beside the floor only, in two minutes"
	@echo "make image          build the container image with docker"
	@echo "make models         build the models that are too large to commit"
	@echo "make models-report  measure all models on held-out data, against their cards"
	@echo "make lint           ruff, mypy, the direction of imports"
	@echo "make format         let ruff mend what it can"
	@echo "make lock           pin the newest releases that pyproject.toml allows"
	@echo "make clean          remove $(VENV) and what tools left behind"

serve: $(VENV)/run.stamp
	$(BIN)/zeropoint serve --port $(PORT)

test: $(VENV)/dev.stamp
	$(BIN)/pytest --numprocesses auto --dist worksteal

soak: $(VENV)/dev.stamp
	ZEROPOINT_SOAK_S=300 $(BIN)/pytest --capture=no tests/e2e/test_many_models.py

models: $(VENV)/dev.stamp
	$(BIN)/python model_artifacts/recipes/build.py

models-report: $(VENV)/dev.stamp models
	$(BIN)/python model_artifacts/recipes/report.py

bench: $(VENV)/dev.stamp
	$(BIN)/python model_artifacts/recipes/build.py minilm-l6-v2
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/batching.py
	$(BIN)/python benchmarks/tabular.py
	$(BIN)/python benchmarks/compare.py --write

bench-quick: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/compare.py --quick

image:
	docker build --build-arg COMMIT="$$(git rev-parse HEAD)" --tag zeropoint .

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	for recipe in model_artifacts/*/recipe; do $(BIN)/mypy "$$recipe"/*.py || exit 1; done
	$(BIN)/lint-imports
	$(BIN)/shellcheck --external-sources deploy/*.sh .ci/run

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# One pass over all, so that the three files never pin two versions of a package.
lock: $(VENV)/dev.stamp
	for file in function/requirements.txt:"--extra gcs --extra metrics --extra pubsub --extra text" requirements/dev.txt:"--all-extras"; do \
	    UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --upgrade --universal \
	        --python-version 3.11 --generate-hashes --no-emit-index-url $${file#*:} \
	        --output-file $${file%%:*} pyproject.toml || exit 1; done
	echo 'setuptools>=80' | UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet \
	    --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --output-file requirements/build.txt -

clean:
	rm -rf $(VENV) build dist function/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "zeropoint needs Python 3.11 or newer; name one with: make PYTHON=python3.13 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: $(VENV)/bin/python pyproject.toml function/requirements.txt requirements/build.txt
	$(PIP) --require-hashes --requirement function/requirements.txt --requirement requirements/build.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	$(PIP) --require-hashes --requirement requirements/dev.txt
	@touch $@
