# make demo   simulate two corpora, run every stage on them, and print what was to be expected:
#             5 minutes on 2 cores of the slowest processor that was measured, and one or two to install
# make test   the fast tests, one thread in each of two processes
# make docs   build the documentation into site/, with warnings as errors
# make results   write experiments/README.md from its template and the results files
# make systems   write the pages of the published systems from docs/systems/*.yaml and the configs
# make lint   formatting, lint, docstrings, types, spelling and import rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# an interrupted installation leaves no stamp and is repeated
STAMP := $(VENV)/installed
SOURCES := depmm experiments docs tests

export TOKENIZERS_PARALLELISM := false
export NO_MKDOCS_2_WARNING := 1

.PHONY: demo test coverage test-other-processor test-slow docs results systems lint format clean-demo

# beside a CPU build of torch, torchaudio from PyPI imports only without its optional extension,
# which is linked to CUDA
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --quiet --compile-bytecode \
		--python $(BIN)/python --constraints constraints.txt --editable ".[dev,docs]"
	$(BIN)/python -c "import torch; torch.version.cuda or __import__('torchaudio')" 2>/dev/null || \
		for file in $(VENV)/lib/python*/site-packages/torchaudio/lib/*torchaudio*.so; do \
			mv $$file $$file.disabled; done
	touch $(STAMP)

# The corpus demo has additive effects of voice and face, demo_fusion needs both together. Two targets
# run at a time, the longer corpus first; what a target prints appears when it ends.
demo: $(STAMP)
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target $(foreach corpus,demo_fusion demo,\
		audit-$(corpus) explain-$(corpus) compare-$(corpus))
	$(BIN)/python experiments/demo_summary.py

ANNOUNCE = +@echo "begins: $@"
HALVES := train-demo_audio_only train-demo_face_only
FUSION_HALVES := train-demo_fusion_audio_only train-demo_fusion_face_only
.PHONY: index-demo index-demo_fusion audit-demo audit-demo_fusion extract-demo extract-demo_fusion \
	train-demo train-demo_fusion $(HALVES) $(FUSION_HALVES) \
	explain-demo explain-demo_fusion compare-demo compare-demo_fusion

index-demo:
	$(ANNOUNCE)
	$(BIN)/depmm simulate corpora/demo/recordings --subjects 96 --steps 12 --seed 0 --effect 1.25
	$(BIN)/depmm index ewre_simulated corpora/demo/recordings --out corpora/demo/manifest

index-demo_fusion:
	$(ANNOUNCE)
	$(BIN)/depmm simulate corpora/demo_fusion/recordings --pattern congruence \
		--subjects 160 --steps 6 --seed 0 --effect 3
	$(BIN)/depmm index ewre_simulated corpora/demo_fusion/recordings --out corpora/demo_fusion/manifest

audit-demo: index-demo
	$(ANNOUNCE)
	$(BIN)/depmm audit corpora/demo/manifest --root corpora/demo/recordings

# the manifest alone: with --root, pairs of faces that move nothing but the mouth would be reported
audit-demo_fusion: index-demo_fusion
	$(ANNOUNCE)
	$(BIN)/depmm audit corpora/demo_fusion/manifest

extract-demo extract-demo_fusion: extract-%: index-%
	$(ANNOUNCE)
	$(BIN)/depmm extract corpora/$*/manifest corpora/$*/recordings --out stores/$* --config $*

train-demo: extract-demo
	$(ANNOUNCE)
	OMP_NUM_THREADS=1 $(BIN)/accelerate launch --num_processes 1 --num_machines 1 \
		--mixed_precision no --dynamo_backend no experiments/train_fusion.py

$(HALVES): extract-demo
train-demo_fusion $(FUSION_HALVES): extract-demo_fusion
$(HALVES) train-demo_fusion $(FUSION_HALVES): train-%:
	$(ANNOUNCE)
	OMP_NUM_THREADS=1 $(BIN)/depmm train $*

explain-demo: train-demo
	$(ANNOUNCE)
	$(BIN)/depmm evaluate runs/demo
	$(BIN)/depmm explain runs/demo --html
	$(BIN)/depmm ask runs/demo words-by-label

explain-demo_fusion: train-demo_fusion
	$(ANNOUNCE)
	$(BIN)/depmm evaluate runs/demo_fusion
	$(BIN)/depmm explain runs/demo_fusion --method grad_cam --method region_occlusion --html

compare-demo compare-demo_fusion: compare-%: train-% train-%_audio_only train-%_face_only
	$(ANNOUNCE)
	$(BIN)/depmm combine runs/$*_audio_only runs/$*_face_only --out runs/$*_sum
	$(BIN)/depmm compare runs/$* runs/$*_audio_only runs/$*_face_only runs/$*_sum \
		--out runs/$*_compared

FAST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"
test: $(STAMP)
	$(FAST)

# branch coverage, of which 90 % are required, takes a third more processor time
coverage: $(STAMP)
	$(FAST) --cov --cov-report=term

# the fast tests of the packages that compute, with the kernels of an older x86 processor: no test
# may depend on the last bits
COMPUTING := audit evaluation inference interpret measures media models training
test-other-processor: $(STAMP)
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
		OPENBLAS_CORETYPE=Nehalem $(FAST) $(COMPUTING:%=tests/%)

test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

docs: $(STAMP)
	$(BIN)/mkdocs build --strict --quiet

results: $(STAMP)
	$(BIN)/python experiments/results_page.py

systems: $(STAMP)
	$(BIN)/python docs/system_pages.py

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m numpydoc lint $$(git ls-files "depmm/*.py")
	$(BIN)/mypy
	$(BIN)/codespell $(SOURCES) data_specs *.md
	$(BIN)/python -m pytest tests/test_imports.py

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean-demo:
	rm -rf corpora/demo corpora/demo_fusion stores/demo stores/demo_fusion runs/demo runs/demo_*
