"""Adapters: what is trained, kept and made, held against peft's own run on a CPU (`peft_truth.py`) and against closed forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import peft_truth
import pytest
import torch
from peft_truth import BATCH, CASES, SMALL, TOKENS
from traced_steps import events_of, traced

from vramcast.program.prepare import prepare
from vramcast.program.quantized import pack_weights
from vramcast.sources.interface import Model
from vramcast.sources.transformers import Transformers
from vramcast.trace import Event, Trace
from vramcast.workload import Workload

GOLDEN: dict[str, Any] = json.loads(peft_truth.GOLDEN.read_text())["cases"]


class Deaf:
    """A probe that hears nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **keywords: None


def workload(name: str) -> Workload:
    _, lora, precision, weights = CASES[name]
    return Workload.train(seq=TOKENS, batch=BATCH, optimizer="sgd", steps=1, attention="eager", precision=precision, weights=weights, lora=lora)


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Model]:
    config = CASES[request.param][0]
    return request.param, Transformers().load(peft_truth.folder_of(config, tmp_path))


def test_what_is_trained_and_kept_is_what_peft_trains_and_keeps(case: tuple[str, Model]) -> None:
    name, model = case
    module = model.build(None)
    pack_weights(module, workload(name), model)
    module = prepare(module, model, workload(name), Deaf()).module
    ids = torch.zeros((BATCH, TOKENS), dtype=torch.int64)
    assert sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad) == GOLDEN[name]["trained"]
    assert peft_truth.saved_bytes(module, ids) == GOLDEN[name]["saved"]


def test_a_training_step_allocates_what_peft_allocates(case: tuple[str, Model]) -> None:
    name, model = case
    trace = traced(model, workload(name))
    assert trace.subject.trainable_parameters == GOLDEN[name]["trained"]
    assert trace.subject.parameters == GOLDEN[name]["all"]
    if "events" in GOLDEN[name]:
        assert _sizes(trace) == GOLDEN[name]["events"]


def _sizes(trace: Trace) -> list[int]:
    events = np.concatenate([events_of(trace, "forward"), events_of(trace, "backward")])
    sizes = (np.where(trace.kinds[events] == Event.ALLOCATE, 1, -1) * trace.sizes[trace.blocks[events]]).tolist()
    return [size for size in sizes if abs(size) > SMALL]
