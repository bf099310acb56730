# From Encoder to Generator. `make` alone lists what can be made.
#
# PYTHON       the Python that makes .venv, 3.11 or later
# TORCH_INDEX  a package index to install PyTorch from, such as PyTorch's own for CPU-only builds
# NB           the notebooks that `make notebooks` executes, all when empty
# ARGS         further options for JupyterLab, or for the sweep
# JOBS         tests and notebooks that run at a time

PYTHON ?= python3
TORCH_INDEX ?=
NB ?=
ARGS ?=
JOBS ?= 2

RUN := .venv/bin/python
# loadscope keeps the tests of one module, or the cells of one notebook, on one worker.
PYTEST := $(RUN) -m pytest -q -p no:benchmark -n $(JOBS) --dist loadscope
# Strict: what each cell prints is compared with what is committed. The time limit is there to end a cell that hangs,
# never to judge a slow computer.
NBVAL := $(PYTEST) -p no:cacheprovider --nbval --nbval-current-env --nbval-cell-timeout=600 \
	--nbval-sanitize-with=tests/nbval.cfg notebooks

.PHONY: help venv lab test test-everywhere notebooks book slides pages bundle pretrained sweep bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' Makefile

venv:  ## make .venv, or bring it up to date (the targets below do it themselves)
	@TORCH_INDEX="$(TORCH_INDEX)" $(PYTHON) tools/make_venv.py

lab: venv  ## open JupyterLab on the first notebook
	$(RUN) tools/lab.py $(ARGS)

test: venv  ## check style, types, modules, and that every notebook gives what it shows
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(PYTEST) tests
	$(NBVAL)

test-everywhere: test  ## the same, and the notebooks once more, as on another, older processor
	$(RUN) tools/second_processor.py $(NBVAL)

notebooks: venv  ## execute and save all notebooks, or some: NB=notebooks/03_*.ipynb
	$(RUN) tools/run_notebooks.py $(NB)

book:  ## make the book: the notebooks as pages to read, in build/book
	@TORCH_INDEX="$(TORCH_INDEX)" $(PYTHON) tools/make_venv.py book
	$(RUN) tools/book.py

slides: venv  ## make the slides for a room, in build/slides
	$(RUN) tools/slides.py

pretrained: venv  ## train the models in data/pretrained again (half an hour)
	$(RUN) tools/pretrained.py

sweep: venv  ## finish the sweeps in data/; anew with ARGS=--again (two hours)
	nice $(RUN) tools/sweep.py $(ARGS)

bench: venv  ## measure speed: ours in NumPy against the same in PyTorch
	$(RUN) -m pytest -q benchmarks

pages: venv  ## make the pages that play, in build/pages: a typeface designer, an instrument, names for colours
	$(RUN) tools/pages.py

bundle:  ## make one file for a room without a network, in build: the project, all packages, the book
	@TORCH_INDEX="$(TORCH_INDEX)" $(PYTHON) tools/make_venv.py book
	@TORCH_INDEX="$(TORCH_INDEX)" $(RUN) tools/bundle.py

clean:  ## remove .venv and everything that tools leave behind, but no downloaded data
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .benchmarks build *.egg-info
	find . -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf
