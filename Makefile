# make serve and make test do all the set-up they need; they want python3 (3.11 or newer), git, make.
PYTHON ?= python3
PORT ?= 8080
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

.PHONY: help serve test conformance fuzz soak bench bench-quick image models models-report lint drawing format lock clean

help:
	@echo "make serve          serve the bundled models at http://localhost:$(PORT)"
	@echo "make test           run all tests"
	@echo "make conformance    the 40 cases of docs/guides/reliability.md, and a table of them"
	@echo "make fuzz           broken input to every decoder, fifty times as much as the tests have"
	@echo "make soak           ten minutes of every kind of request, ten times too much for a minute, fifty kills"
	@echo "make bench          measure the function beside the floor and its peers, and what batches gain"
	@echo "make bench-quick    the same beside the floor only, in two minutes"
	@echo "make image          build the container image with docker"
	@echo "make models         build the models that are too large to commit"
	@echo "make models-report  measure all models on held-out data, against their cards"
	@echo "make lint           ruff, mypy, the direction of imports"
	@echo "make drawing        draw docs/architecture/flow.svg of its text, with Graphviz's dot"
	@echo "make format         let ruff mend what it can"
	@echo "make lock           pin the newest releases that pyproject.toml allows"
	@echo "make clean          remove $(VENV) and what tools left behind"

serve: $(VENV)/run.stamp
	$(BIN)/zeropoint serve --port $(PORT)

test: $(VENV)/dev.stamp
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses auto --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

conformance: $(VENV)/dev.stamp
	ZEROPOINT_CONFORMANCE=full $(BIN)/pytest --numprocesses auto --dist worksteal tests/conformance

fuzz: $(VENV)/dev.stamp
	ZEROPOINT_FUZZ_TIMES=50 $(BIN)/pytest --numprocesses auto --dist worksteal tests/fuzz

soak: $(VENV)/dev.stamp
	ZEROPOINT_SOAK_S=600 $(BIN)/pytest --capture=no tests/soak
	ZEROPOINT_KILLS=50 $(BIN)/pytest tests/test_versions.py tests/cli tests/edge -k "kill or moment"

models: $(VENV)/dev.stamp
	$(BIN)/python model_artifacts/recipes/build.py

models-report: $(VENV)/dev.stamp models
	$(BIN)/python model_artifacts/recipes/report.py

bench: $(VENV)/dev.stamp
	$(BIN)/python model_artifacts/recipes/build.py minilm-l6-v2 smollm2-135m-instruct
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/batching.py
	$(BIN)/python benchmarks/tabular.py
	$(BIN)/python benchmarks/millions.py
	$(BIN)/python benchmarks/edge.py
	$(BIN)/python benchmarks/generation.py
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
	$(BIN)/shellcheck --external-sources deploy/*.sh function/zeropoint/edge/*.sh .ci/run

drawing: docs/architecture/flow.svg

docs/architecture/flow.svg: docs/architecture/flow.dot
	dot -Tsvg $< -o $@

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# One pass over all, so that the three files never pin two versions of a package.
lock: $(VENV)/dev.stamp
	for file in function/requirements.txt:"--extra gcs --extra metrics --extra pubsub --extra text" requirements/dev.txt:"--extra test --extra lint"; do \
	    UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --upgrade --universal \
	        --python-version 3.11 --generate-hashes --no-emit-index-url $${file#*:} \
	        --output-file $${file%%:*} pyproject.toml || exit 1; done
	printf '%s\n' apache-beam 'coverage>=7.10' google-apitools google-auth-httplib2 google-cloud-dataflow-client 'onnx>=1.19' | \
	    UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --upgrade --universal \
	        --python-version 3.11 --generate-hashes --no-emit-index-url --extra batch --extra gcs \
	        --output-file tests/beam-requirements.txt pyproject.toml -
	for file in build.txt:"pip setuptools>=80" sbom.txt:"cyclonedx-bom>=7"; do \
	    printf '%s\n' $${file#*:} | UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet \
	        --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	        --output-file requirements/$${file%%:*} - || exit 1; done
	for file in requirements.txt:"click jinja2 markupsafe msgspec numpy onnxruntime pillow prometheus-client tokenizers waitress watchdog werkzeug":function/requirements.txt \
	    installer.txt:pip:requirements/build.txt; do \
	    wanted=$${file#*:}; printf '%s\n' $${wanted%:*} | \
	        UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --upgrade --universal --no-deps --no-annotate \
	            --python-version 3.11 --generate-hashes --no-emit-index-url --constraint $${file##*:} \
	            --output-file function/zeropoint/edge/$${file%%:*} - || exit 1; done

clean:
	rm -rf $(VENV) build dist function/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "zeropoint needs Python 3.11 or newer; name one with: make PYTHON=python3.13 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: $(VENV)/bin/python pyproject.toml function/requirements.txt requirements/build.txt
	$(PIP) --require-hashes --requirement requirements/build.txt
	$(PIP) --require-hashes --requirement function/requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	$(PIP) --require-hashes --requirement requirements/dev.txt
	@touch $@
