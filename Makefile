# The project's commands. Each sets up .venv first if it is missing or older than the lock.
PYTHON ?= python3.11
TEST_WORKERS ?= 2
BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# The lock is complete, so nothing is resolved; uv installs it ten times faster than pip. Compiled
# once: without, where Python may not write bytecode, every process compiles torch and sympy anew.
PACKAGES := --no-deps -r lib/requirements.lock -e ./lib

.PHONY: study test lab render book archive bench clean
.DELETE_ON_ERROR:

study: $(READY)  ## compute what is not stored, execute every notebook, regenerate every figure
	$(BIN)/crosstrain study
	$(BIN)/crosstrain render

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest tests -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

lab: $(READY)  ## open the first page in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks notebooks/00_start_here.ipynb

render: $(READY)  ## execute the notebooks from their text and what is stored
	$(BIN)/crosstrain render

book: $(READY)  ## build the executed notebooks as static pages: runs/book/html/index.html
	$(BIN)/crosstrain book

archive: book  ## write what to deposit in an archive, with checksums, to runs/archive
	@git diff --quiet HEAD || { echo "the deposit holds the last commit, and there are changes since: commit them first" >&2; exit 2; }
	rm -rf runs/archive && mkdir -p runs/archive
	git archive --format=tar.gz --prefix=crosstrain/ --output=runs/archive/crosstrain.tar.gz HEAD
	tar -C runs/book -czf runs/archive/book.tar.gz html
	cd runs/archive && sha256sum *.tar.gz > SHA256SUMS

bench: $(READY)  ## measure the speed of the library against named peers
	$(BIN)/python tests/benchmarks/run.py

clean:  ## remove everything that is not shipped: the environment and runs/
	rm -rf .venv runs

$(READY): lib/requirements.lock lib/pyproject.toml
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "crosstrain needs Python 3.11 with venv, and '$(PYTHON)' is not that: install it (for example 'apt-get install python3.11 python3.11-venv', 'pyenv install 3.11' or 'conda create -n py311 python=3.11'), or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python $(PACKAGES) || $(PIP) install $(PACKAGES)
	$(PIP) check
	touch $(READY)
