# Everything on a bare Python 3.11: `make demo` and `make test` make the virtual environment they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install demo test check format clean

help:
	@echo "make demo     install, then run the sample recipe and say where its report is"
	@echo "make test     install, then run every test"
	@echo "make check    lint, formatting, types"
	@echo "make format   apply the formatting"

# torch's CPU wheel is enough for tables; a machine with a GPU keeps the torch it has.
install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	$(BIN)/leaven demo

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
