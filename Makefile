# `make demo` and `make test` each work as the first command on a fresh machine.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
USABLE := $(VENV)/.usable
READY := $(VENV)/.ready
SCHEMA := $(BIN)/check-jsonschema --quiet --builtin-schema vendor.github
FAST := .venv-fast
FAST_READY := $(FAST)/.ready
PURE := reading/test_batch tfrecord/test_example tfrecord/test_single_values imaging/test_headers \
	imaging/test_images runtime/test_permutation
PARALLEL := --numprocesses logical --dist worksteal
SOURCES := $(wildcard tfrec_cli/runtime/*.[ch])
SANITIZED := build/sanitize
COGGED := docs/architecture.md docs/benchmarks.md docs/cli.md docs/json.md

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-lowest coverage test-pure sanitize torture interop lint types docs docs-check docs-site bench smoke check release-notes clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY)  ## Make the environment in .venv

$(USABLE): pyproject.toml setup.py $(SOURCES)
	rm -f tfrec_cli/runtime/_native*.so # Python prefers an old one with a longer name
	$(PYTHON) -m venv $(VENV)
	@echo "installing tfrec with TensorFlow into $(VENV)"
	$(PIP) --editable '.[tensorflow]'
	@touch $@

$(READY): $(USABLE)
	@echo "installing what the tests need into $(VENV), including PyTorch and TFDS"
	$(PIP) --upgrade 'pip>=25.1' # knows dependency groups
	$(PIP) 'tfrec-cli[tensorflow]' --group dev
	@touch $@

$(FAST_READY): pyproject.toml setup.py $(SOURCES)
	$(PYTHON) -m venv $(FAST)
	@echo "installing tfrec without TensorFlow into $(FAST)"
	$(FAST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(FAST)/bin/python -m pip install --quiet --disable-pip-version-check --editable . --group test
	@touch $@

demo: $(USABLE)  ## Write, inspect and verify the sample images; draw two pictures
	rm -rf demo-out
	$(BIN)/tfrec write sample_data/images demo-out/crops --crop 128 --small skip
	$(BIN)/tfrec write sample_data/images demo-out/whole
	$(BIN)/tfrec inspect demo-out/whole --contact-sheet demo-out/whole.png
	$(BIN)/tfrec verify demo-out/crops --seed 42
	$(BIN)/tfrec verify demo-out/whole --seed 42
	$(BIN)/tfrec inspect demo-out/whole --crop 96 --seed 42 --html demo-out/crops.html \
		--contact-sheet demo-out/crops.png > demo-out/inspect.txt
	@echo "pictures: demo-out/whole.png, random crops in demo-out/crops.png and crops.html"

test: $(READY)  ## Run every test, on all processors up to 4: each loads TensorFlow and PyTorch
	$(BIN)/python -m pytest -q $(PARALLEL) --maxprocesses 4

test-fast: $(FAST_READY)  ## Run the quick tests that need no TensorFlow or PyTorch, in their own environment
	env -u ALL_TESTS $(FAST)/bin/python -m pytest -q -m "not slow" $(PARALLEL)

test-lowest: $(READY)  ## Run the same with the lowest versions that pyproject.toml allows, on the oldest Python
	$(BIN)/python tests/lowest.py

coverage: $(READY)  ## Run every test, and measure branch coverage of tfrec_cli
	rm -rf build/coverage
	mkdir -p build/coverage
	$(BIN)/coverage run -m pytest -q --ignore tests/faults # which counts system calls
	$(BIN)/coverage combine --quiet
	rm -f build/coverage/data.* # of processes that were killed
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report --skip-covered

test-pure: $(READY)  ## Run the tests of C functions again without C
	TFREC_NO_EXTENSIONS=1 $(BIN)/python -m pytest -q $(PURE:%=tests/unit/%*)

sanitize: $(READY)  ## Run the tests of C functions with ASan and UBSan, from a copy (gcc)
	rm -rf $(SANITIZED)
	mkdir -p $(SANITIZED)
	cp -r tfrec_cli $(SANITIZED)
	rm -f $(SANITIZED)/tfrec_cli/runtime/*.so
	set -e; config() { $(BIN)/python -c "import sysconfig; print(sysconfig.$$1)"; }; \
		gcc -shared -fPIC -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
		-I "$$(config "get_path('include')")" $(filter %.c,$(SOURCES)) \
		-o "$(SANITIZED)/tfrec_cli/runtime/_native$$(config "get_config_var('EXT_SUFFIX')")"
	PYTHONPATH=$(SANITIZED) PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
		UBSAN_OPTIONS=print_stacktrace=1 LD_PRELOAD=$$(gcc -print-file-name=libasan.so) \
		$(BIN)/pytest -q --capture=sys -p no:cacheprovider tests/unit/runtime/test_native.py \
		tests/unit/imaging/test_seek.py tests/unit/tfrecord/test_single_values.py \
		tests/unit/tfrecord/test_record.py -k "not tensorflow"

torture: $(READY)  ## Break writes and datasets in every known way (10 minutes; strace)
	$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED))

interop: $(READY)  ## Open one dataset with every reader and client; 1.3 GB (IMAGES=DIR, VISION=1)
	$(PIP) 'tfrec-cli[tensorflow]' --group dev --group interop $(if $(VISION),--group vision)
	$(BIN)/python -m tests.contract.interop "$(or $(IMAGES),sample_data/images)"
	$(BIN)/python -m tests.contract.interop.exact
	$(BIN)/python -m tests.contract.interop.resume

lint: $(READY)  ## Check style, that imports go downwards only, and the form of workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(SCHEMA)-workflows .github/workflows/*.yml
	$(SCHEMA)-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml

types: $(READY)  ## Check types
	$(BIN)/mypy

docs: $(READY)  ## Generate parts of docs/: options, schemas, figures, output of scripts
	$(BIN)/python docs/reference.py
	$(BIN)/cog -I docs -r $(COGGED) docs/determinism.md

docs-check: $(READY)  ## Check that the generated parts are up to date (the tests run the scripts)
	$(BIN)/python docs/reference.py --check
	$(BIN)/cog -I docs --check $(COGGED)

docs-site: $(READY)  ## Build docs/ and the README as a site in build/site; warnings are errors
	$(PIP) --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(if $(IMAGES),$(READY))  ## Time everything against the usual way (IMAGES=DIR)
	@test -n "$(IMAGES)" || { echo "found no IMAGES, expected a folder: make bench IMAGES=DIR" >&2; exit 2; }
	$(PIP) 'tfrec-cli[tensorflow]' --group bench
	$(BIN)/python -m benchmarks "$(IMAGES)" $(if $(RUNS),--runs $(RUNS)) \
		$(if $(ONLY),--only $(ONLY)) $(if $(REPEAT),--repeat $(REPEAT)) $(if $(PEERS),--peers) \
		$(if $(AGAINST),--against $(AGAINST))

smoke: $(READY)  ## Install sdist and wheels without TensorFlow, and try them (PYTHONS=all)
	$(BIN)/python tests/smoke.py $(PYTHONS)

check: lint types docs-check test test-pure smoke  ## Run everything that must pass

release-notes:  ## Print the part of the changelog for a release (TAG=v1.2.3)
	@version=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' tfrec_cli/__init__.py); \
		test "$(TAG)" = "v$$version" || { echo "TAG: found $(TAG), expected v$$version" >&2; exit 2; }; \
		awk -v begin="## $$version - " 'index($$0, "## ") == 1 { on = index($$0, begin) == 1; next } \
			on && (/./ || any) { any = 1; print }' CHANGELOG.md

clean:  ## Remove environments and everything built
	rm -rf $(VENV) $(FAST) build dist demo-out .hypothesis .mypy_cache .pytest_cache .ruff_cache \
		.import_linter_cache *.egg-info
