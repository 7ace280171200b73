# make demo   everything once on a simulated corpus: about 10 minutes on 2 cores
# make test   the test suite, one thread in each of two processes; make test-slow what takes longest:
#             full sizes, every corpus, many simulated studies
# make lint   what the continuous integration checks first

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# an interrupted install leaves no stamp and is done again
STAMP := $(VENV)/installed

export TOKENIZERS_PARALLELISM := false

.PHONY: demo test test-other-processor test-slow lint format clean-demo

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --quiet --compile-bytecode \
		--python $(BIN)/python --constraints constraints.txt --editable ".[dev,docs]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/depmm simulate corpora/demo/recordings --subjects 96 --steps 12 --seed 0 --effect 1.25
	$(BIN)/depmm index data_specs/ewre_simulated.yaml corpora/demo/recordings --out corpora/demo/manifest
	$(BIN)/depmm audit corpora/demo/manifest --root corpora/demo/recordings
	$(BIN)/depmm extract corpora/demo/manifest corpora/demo/recordings --out stores/demo \
		--config experiments/configs/demo.yaml
	$(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		experiments/train_fusion.py experiments/configs/demo.yaml
	$(BIN)/depmm evaluate runs/demo
	$(BIN)/depmm explain runs/demo
	$(BIN)/depmm ask runs/demo words-by-label

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

# the fast tests once more with the kernels of an older x86 processor: no test may depend on the last bits
test-other-processor: export ATEN_CPU_CAPABILITY = default
test-other-processor: export ONEDNN_MAX_CPU_ISA = SSE41
test-other-processor: export MKL_ENABLE_INSTRUCTIONS = SSE4_2
test-other-processor: export OPENBLAS_CORETYPE = Nehalem
test-other-processor: test

test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports.py

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean-demo:
	rm -rf corpora/demo stores/demo runs/demo
