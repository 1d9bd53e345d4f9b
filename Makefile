# Everything runs in .venv, which `make setup` makes; other targets make it when it is absent or out of date.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup forecast test check format benchmark study accuracy validate calibration workspaces baseline campaign clean
BUDGET ?= 8m
STUDIED ?= 'torchvision:*' 'timm:*' 'yolo11*' 'yolo12*' 'yolo26*' 'yolov5?' 'yolov8?' 'yolov10?' 'rtdetr-?' 'transformers:*'
MEASURED ?= ../shared/measured
SAMPLED := $(if $(wildcard $(MEASURED)),--measured $(MEASURED)) --sample 24 --processes $(JOBS)

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with vramcast, its model sources and its tools, at the versions of constraints.txt.

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[plots,zoo,dev]"
	touch $@

forecast: $(READY) ## Answer one question: does YOLO11n train at 640 px, batch 16, on an RTX 4090?
	$(BIN)/vramcast estimate ultralytics:yolo11n --train --image 640 --batch 16 --precision amp-fp16 --gpu "rtx 4090"

test: $(READY) ## Run the tests (JOBS=2 at a time).
	$(BIN)/python -m pytest -n $(JOBS)

check: $(READY) ## Look at style, types, the direction of imports and docstrings.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/interrogate src

format: $(READY) ## Bring the code into its style.
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

benchmark: $(READY) ## Write docs/benchmark.md and docs/benchmark-questions.md: vramcast beside other tools, and its speed.
	$(BIN)/python -m benchmarks --write docs/benchmark.md
	$(BIN)/python -m benchmarks.questions --write docs/benchmark-questions.md

study: $(READY) ## Write docs/study.md and its plots: parameters against memory, over hundreds of models. It goes on where it stopped.
	$(BIN)/vramcast study $(STUDIED) --sample 500 --processes $(JOBS) --document docs/study.md

accuracy: $(READY) ## Write docs/accuracy.md and its plots; SAMPLE=100 for 100 cases a set. It goes on where it stopped.
	$(BIN)/vramcast validate --measured $(MEASURED) $(if $(SAMPLE),--sample $(SAMPLE)) --document docs/accuracy.md

validate: $(READY) ## Hold a fixed sample against validation/baseline.json; sets whose folder is absent are passed over.
	$(BIN)/vramcast validate $(SAMPLED) --baseline validation/baseline.json

calibration: $(READY) ## Fit the ranges anew on every case at hand: src/vramcast/calibration/residuals.json. It goes on where it stopped.
	$(BIN)/vramcast validate --measured $(MEASURED) $(if $(SAMPLE),--sample $(SAMPLE)) --processes $(JOBS) --calibrate src/vramcast/calibration/residuals.json

workspaces: $(READY) ## Fit the parameters of cuDNN's workspaces anew: src/vramcast/workspace/cudnn.toml. It goes on where it stopped.
	$(BIN)/vramcast validate --measured $(MEASURED) --processes $(JOBS) --fit-workspaces src/vramcast/workspace/cudnn.toml

baseline: $(READY) ## Make the errors of the fixed sample the new baseline.
	$(BIN)/vramcast validate $(SAMPLED) --write-baseline validation/baseline.json

campaign: $(READY) ## Measure the standard campaign on the card in this machine for BUDGET; the next call goes on.
	$(BIN)/vramcast measure --campaign standard --results measured-standard --budget $(BUDGET)

clean: ## Remove .venv, caches and builds.
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache .benchmarks
