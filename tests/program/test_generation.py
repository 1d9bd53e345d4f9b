"""Text generation: the cache's closed form, the real loop on a CPU beside the trace, and a few steps that tell all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from traced_steps import A100, events_of, held_as, live_bytes, traced

from vramcast.backends.eager import decoding
from vramcast.errors import WorkloadError
from vramcast.family import merged, stretched
from vramcast.family.errors import NotAffineError
from vramcast.sources.interface import Model
from vramcast.sources.transformers import Transformers
from vramcast.trace import Component, Event, Trace
from vramcast.workload import Workload

LAYERS, HEADS, KEY_VALUE_HEADS, HEAD_SIZE, VOCABULARY = 2, 4, 2, 16, 1000
LLAMA: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": HEADS * HEAD_SIZE, "intermediate_size": 176,
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KEY_VALUE_HEADS, "vocab_size": VOCABULARY,
    "max_position_embeddings": 128, "tie_word_embeddings": False,
}  # fmt: skip
SMALL = 2 * 32 * 8
"""Bytes of ids and masks, which a CPU run prepares otherwise (it computes scalars as tensors), and below."""
COLUMNS = ("kinds", "blocks", "operations", "sizes", "components", "streams", "block_modules",
           "operation_operators", "operation_modules", "operation_phases")  # fmt: skip


def llama(folder: Path, **settings: Any) -> Model:
    (folder / "config.json").write_text(json.dumps(LLAMA | settings))
    return Transformers().load(str(folder))


def cache_bytes(batch: int, tokens: int, itemsize: int = 2) -> int:
    return 2 * LAYERS * batch * KEY_VALUE_HEADS * tokens * HEAD_SIZE * itemsize


def last_event(trace: Trace, phase: str) -> int:
    return int(events_of(trace, phase).max())


def test_the_cache_holds_keys_and_values_of_every_token_but_the_last(tmp_path: Path) -> None:
    trace = traced(llama(tmp_path), Workload.infer(seq=10, batch=3, precision="fp16", new_tokens=6, steps=1))
    assert [phase.name for phase in trace.phases] == ["load", "prefill", *["decode"] * 5]
    held = [held_as(trace, Component.KV_CACHE, event) for event in range(len(trace))]
    assert held[int(events_of(trace, "prefill").max())] == cache_bytes(3, 10)
    grown = max(held)
    one_layer_twice = cache_bytes(3, 14) // LAYERS // 2  # torch.cat makes the new one before the old one goes
    assert cache_bytes(3, 15) <= grown <= cache_bytes(3, 15) + one_layer_twice


def test_one_pass_returns_a_cache_too(tmp_path: Path) -> None:
    trace = traced(llama(tmp_path), Workload.infer(seq=10, batch=3, precision="bf16", steps=1))
    assert held_as(trace, Component.KV_CACHE, last_event(trace, "forward")) == cache_bytes(3, 10)
    training = traced(llama(tmp_path), Workload.train(seq=10, batch=3, precision="bf16", steps=1))
    assert not (training.components == Component.KV_CACHE).any()


def test_tuples_hold_the_cache_twice(tmp_path: Path) -> None:
    workload = Workload.infer(seq=10, batch=3, precision="fp16", new_tokens=6, steps=1, preset="transformers-4.35")
    trace = traced(llama(tmp_path), workload)
    held = max(held_as(trace, Component.KV_CACHE, event) for event in range(len(trace)))
    assert held == cache_bytes(3, 14) + cache_bytes(3, 15)


def test_older_logits_and_tables(tmp_path: Path) -> None:
    """Half-precision logits beside their fp32 copy; cosines and sines of 128 positions in each of the layers."""
    model = llama(tmp_path)
    new, old = (traced(model, Workload.infer(seq=10, batch=3, precision="fp16", steps=1, preset=preset)) for preset in (None, "transformers-4.35"))
    buffers = [held_as(trace, Component.BUFFERS, len(trace) - 1) for trace in (new, old)]
    assert buffers[1] - buffers[0] == LAYERS * 2 * 128 * HEAD_SIZE * 2
    logits = 3 * 10 * VOCABULARY
    assert [held_as(trace, Component.OUTPUTS, last_event(trace, "forward")) for trace in (new, old)] == [2 * logits, 4 * logits]


def test_the_loop_of_the_library_as_a_cpu_runs_it(tmp_path: Path) -> None:
    """fp32 and eager attention, where CPU and CUDA do the same: large allocations in order, and the peak above the weights."""
    model = llama(tmp_path)
    real = _real(model, prompt=32, tokens=6)
    trace = traced(model, Workload.infer(seq=32, batch=2, new_tokens=6, steps=1, attention="eager"))
    events = np.concatenate([events_of(trace, "prefill"), events_of(trace, "decode")])
    sizes = np.where(trace.kinds[events] == Event.ALLOCATE, 1, -1) * trace.sizes[trace.blocks[events]]
    assert [size for size in sizes if size > SMALL] == [size for size in real if size > SMALL]
    large = [size for size in sizes if abs(size) > SMALL], [size for size in real if abs(size) > SMALL]
    assert max(np.cumsum(large[0])) == max(np.cumsum(large[1]))


def _real(model: Model, prompt: int, tokens: int) -> list[int]:
    """Return what a real CPU run allocates (positive) and frees (negative), in order."""
    torch.manual_seed(0)
    module: Any = model.build(None).eval()
    module.set_attn_implementation("eager")
    module.generation_config.update(max_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=None)
    ids = torch.ones((2, prompt), dtype=torch.int64)
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        module.generate(input_ids=ids)
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, {}),
        ({}, {"steps": 2, "preset": "transformers-4.35"}),
        ({"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 14}, {"attention": "eager"}),
        ({"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 30}, {"new_tokens": 40, "steps": 2}),
        ({"tie_word_embeddings": True, "num_key_value_heads": 4}, {"precision": "bf16", "batch": 1}),
        ({}, {"precision": "amp-bf16", "new_tokens": 11}),
        ({}, {"new_tokens": 1}),
        ({}, {"new_tokens": 9}),
    ],
)
def test_a_few_steps_tell_all_to_the_byte(tmp_path: Path, settings: dict[str, Any], fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LARGEST_DIRECT", 0)  # steps that do not repeat are refused rather than traced
    model = llama(tmp_path, **settings)
    workload = Workload.infer(**{"seq": 10, "batch": 2, "precision": "fp16", "new_tokens": 20, "steps": 1, **fields})
    told, whole = decoding.trace_decoding(model, workload, A100, lambda _: None), merged(traced(model, workload), decoding.PHASE)
    told.validate()
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(told, name), getattr(whole, name), err_msg=name)
    assert (told.calls, told.phases, told.operators, told.modules) == (whole.calls, whole.phases, whole.operators, whole.modules)


def test_many_tokens_cost_no_more_tracing(tmp_path: Path) -> None:
    model = llama(tmp_path, max_position_embeddings=10**6)
    trace = decoding.trace_decoding(model, Workload.infer(seq=10, batch=2, precision="fp16", new_tokens=2000, steps=1), A100, lambda _: None)
    growing = [int(trace.sizes[block]) for block in np.flatnonzero(trace.components == Component.KV_CACHE)]
    assert max(growing) == cache_bytes(2, 2009) // LAYERS // 2
    assert int(live_bytes(trace).max()) > cache_bytes(2, 2009)


def test_steps_that_do_not_repeat_are_no_stretch(tmp_path: Path) -> None:
    trace = traced(llama(tmp_path), Workload.infer(seq=10, batch=2, new_tokens=4, steps=1))
    with pytest.raises(NotAffineError):
        stretched(trace, decoding.PHASE, 5)


@pytest.mark.parametrize(
    ("settings", "fields", "said"),
    [
        ({}, {"seq": 100, "new_tokens": 29}, ["129 tokens", "at most 128"]),
        ({"architectures": ["LlamaForSequenceClassification"]}, {"new_tokens": 4}, ["new_tokens 4", "exclude each other"]),
        ({"max_position_embeddings": 10**9}, {"seq": 10, "new_tokens": 10**8}, ["new_tokens", "events"]),
    ],
)
def test_what_cannot_be_generated_is_refused(tmp_path: Path, settings: dict[str, Any], fields: dict[str, Any], said: list[str]) -> None:
    workload = Workload.infer(**fields)
    with pytest.raises(WorkloadError) as caught:
        decoding.trace_decoding(llama(tmp_path, **settings), workload, A100, lambda _: None)
    assert all(part in str(caught.value) for part in said), caught.value
