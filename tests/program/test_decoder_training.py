"""Training steps of decoders as a CPU runs them: fp32 and eager attention, where CPU and CUDA do the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from traced_steps import events_of, traced

from vramcast.sources.interface import Model
from vramcast.sources.transformers import Transformers
from vramcast.trace import Event
from vramcast.workload import Workload

BATCH, TOKENS = 2, 32
SMALL = BATCH * TOKENS * 8
"""Bytes of ids and masks, which a CPU run prepares otherwise (it computes scalars as tensors), and below."""
GROUPED: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000,
    "max_position_embeddings": 128, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, id="grouped keys and values"),
        pytest.param({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "tie_word_embeddings": True}, id="tied embeddings"),
        pytest.param({"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 14}, id="sliding window"),
    ],
)
def test_a_training_step_as_a_cpu_runs_it(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Large allocations in order, with the fp32 copies of the logits that the loss makes, and the peak above the weights."""
    (tmp_path / "config.json").write_text(json.dumps(GROUPED | settings))
    model = Transformers().load(str(tmp_path))
    trace = traced(model, Workload.train(seq=TOKENS, batch=BATCH, optimizer="sgd", steps=1, attention="eager"))
    events = np.concatenate([events_of(trace, "forward"), events_of(trace, "backward")])
    sizes = (np.where(trace.kinds[events] == Event.ALLOCATE, 1, -1) * trace.sizes[trace.blocks[events]]).tolist()
    real = _real(model)
    assert [size for size in sizes if size > SMALL] == [size for size in real if size > SMALL]
    assert max(np.cumsum([size for size in sizes if abs(size) > SMALL])) == max(np.cumsum([size for size in real if abs(size) > SMALL]))


def _real(model: Model) -> list[int]:
    """Return what a real step allocates (positive) and frees (negative), in order."""
    module: Any = model.build(None).train()
    module.set_attn_implementation("eager")
    module.config.use_cache = False
    ids = torch.zeros((BATCH, TOKENS), dtype=torch.int64)
    module(input_ids=ids, labels=ids).loss.backward()  # buffers that are made in the first step
    module.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        outputs = module(input_ids=ids, labels=ids)
        outputs.loss.backward()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
