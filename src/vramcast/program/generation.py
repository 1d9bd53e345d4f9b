"""Text generation: a prompt in one pass (`prefill`), then a token at a time (`decode`), greedily and without an end before the last token.

By default the installed transformers generates, with its own `generate`; so whatever that version holds, copies and frees is what is
traced. The other loop is that of transformers 4.35.2 (`generation/utils.py`, `greedy_search`, and `prepare_inputs_for_generation` of
`models/llama/modeling_llama.py`), whose outputs and inputs of one step live until the next step's take their names.

Not modelled: the end-of-sequence test (a few bytes per sequence and step), sampling, beams, chunked prefill.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from vramcast.errors import WorkloadError
from vramcast.program.key_value_cache import TupleCache, cached_tensors
from vramcast.program.precision import autocast
from vramcast.program.probe import Probe
from vramcast.program.program import Program
from vramcast.program.staging import stream
from vramcast.program.tasks.interface import DEVICE
from vramcast.trace import Component


@torch.no_grad()
def generate(program: Program, probe: Probe) -> Any:
    """Answer `steps` prompts one after the other, as a serving loop does; return the last token ids.

    Raises:
        WorkloadError: the module cannot generate.
    """
    workload, module = program.workload, program.module
    if not hasattr(module, "generate"):
        raise WorkloadError(f"new_tokens {workload.new_tokens} and model {program.setting.model.name} exclude each other: it generates no text.")
    batches = stream(program.task, program.setting, probe)
    progress, make = _Progress(probe), _with_tuples if workload.habits.generation == "tuples" else _with_library
    sequences: Any = None
    with progress.following(module):
        for step in range(workload.steps):
            progress.begin(step)
            batch = next(batches)
            with autocast(workload.precision):
                sequences = make(module, batch.keywords["input_ids"], workload.new_tokens or 1)
            probe.claim(Component.OUTPUTS, [sequences])
    return sequences


class _Progress:
    """Says which phase generation is in, by the calls of the module, and what each call leaves in the cache."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._step = 0
        self._is_prefilled = False

    def begin(self, step: int) -> None:
        """A prompt comes."""
        self._step, self._is_prefilled = step, False
        self._probe.phase("prefill", step)

    @contextlib.contextmanager
    def following(self, module: nn.Module) -> Iterator[None]:
        """Follow a module's calls, until the context is left."""
        handles = (module.register_forward_pre_hook(self._before), module.register_forward_hook(self._after))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _before(self, _module: nn.Module, _args: Any) -> None:
        if self._is_prefilled:
            self._probe.phase("decode", self._step)
        self._is_prefilled = True

    def _after(self, _module: nn.Module, _args: Any, outputs: Any) -> None:
        self._probe.claim(Component.KV_CACHE, cached_tensors(outputs))


def _with_library(module: Any, prompt: torch.Tensor, count: int) -> torch.Tensor:
    """Generate with the module's own `generate`; no token ends a sequence.

    What is None in a call's settings is taken from the module's, so those are what is changed.
    """
    settings = module.generation_config
    settings.update(max_new_tokens=count, max_length=None, do_sample=False, eos_token_id=None, pad_token_id=None, use_cache=True)
    sequences: torch.Tensor = module.generate(input_ids=prompt)
    return sequences


def _with_tuples(module: Any, prompt: torch.Tensor, count: int) -> torch.Tensor:
    """Generate as `greedy_search` did: `inputs` and `outputs` of a step are held until those of the next are there."""
    sequence, mask = prompt, torch.ones(prompt.shape, dtype=torch.int64, device=DEVICE)
    cache = TupleCache()
    for _ in range(count):
        inputs = _inputs(sequence, mask, cache)
        outputs = module(**inputs, use_cache=True, return_dict=True)
        token = outputs.logits[:, -1, :].argmax(dim=-1)
        sequence = torch.cat([sequence, token[:, None]], dim=-1)
        cache = outputs.past_key_values
        mask = torch.cat([mask, mask.new_ones((mask.shape[0], 1))], dim=-1)
    return sequence


def _inputs(sequence: torch.Tensor, mask: torch.Tensor, cache: TupleCache) -> dict[str, Any]:
    """Return a step's inputs: what the cache does not hold yet, its positions, and the cache."""
    held = cache.get_seq_length()
    positions = mask.cumsum(-1) - 1
    positions.masked_fill_(mask == 0, 1)
    return {
        "input_ids": sequence[:, held:], "attention_mask": mask, "position_ids": positions[:, held:], "past_key_values": cache.next_step(),
    }  # fmt: skip
