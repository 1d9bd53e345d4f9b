"""What is kept for backward, and in which layout."""

from __future__ import annotations

import numpy as np

from vramcast import breakdown
from vramcast.advice.lever import TRAINING_ONLY, Change, Lever, Situation
from vramcast.answer import Estimate
from vramcast.footprint import ModuleShare

MOST_MODULES = 5
_SPELLED_OUT = 3
"""Modules that stand in the name of the change."""
_ENOUGH = 0.5
"""Modules are added until they hold this share of the activations."""
_DIVIDED = 0.35
"""A module with more than this share of the activations is looked into: checkpointed whole, it would be computed anew whole."""


def _checkpointing(situation: Situation) -> tuple[Change, ...] | str:
    workload, model = situation.workload, situation.model
    if not workload.is_training:
        return TRAINING_ONLY
    if workload.checkpointing:
        return "it is on already"
    if model is None:
        return "a number of parameters has no blocks"
    code = {"transformers": "model.gradient_checkpointing_enable()", "timm": "model.set_grad_checkpointing(True)"}.get(
        model.source, "block.forward = functools.partial(torch.utils.checkpoint.checkpoint, block.forward, use_reentrant=False)   # each block"
    )
    return (Change("checkpointing", workload.with_fields(checkpointing=True, checkpoint_modules=()), code, "--checkpointing"),)


def _partial(situation: Situation) -> tuple[Change, ...] | str:
    workload = situation.workload
    if not workload.is_training:
        return TRAINING_ONLY
    if workload.checkpointing or workload.checkpoint_modules:
        return "it is on already"
    if situation.model is None:
        return "a number of parameters has no modules"
    chosen = modules_that_hold_most(_kept_for_backward(situation.estimate))
    if not chosen:
        return "no module holds activations of modules inside it when backward begins"
    names = ", ".join(f'"{name}"' for name in chosen) + ("," if len(chosen) == 1 else "")
    code = f"for name in ({names}): m = model.get_submodule(name); m.forward = functools.partial(checkpoint, m.forward, use_reentrant=False)"
    options = " ".join(f"--checkpoint-module {name}" for name in chosen)
    name = f"checkpointing {' '.join(chosen)}" if len(chosen) <= _SPELLED_OUT else f"checkpointing of {len(chosen)} modules"
    return (Change(name, workload.with_fields(checkpoint_modules=chosen), code, options),)


def _kept_for_backward(estimate: Estimate) -> tuple[ModuleShare, ...]:
    """Return what each module holds when the backward pass of the last step begins."""
    trace = estimate.trace
    backward = [index for index, phase in enumerate(trace.phases) if phase.name == "backward"]
    if not backward:
        return ()
    event = int(np.flatnonzero(trace.event_phases() == backward[-1])[0])
    return breakdown.modules(trace, estimate.timeline, event)


def modules_that_hold_most(modules: tuple[ModuleShare, ...]) -> tuple[str, ...]:
    """Return the few modules that hold half of the activations, at most five, none inside another.

    A module without parts keeps what goes into it either way, so only modules with parts are named.
    """
    held = {share.name: share.components.get("activations", 0) for share in modules if share.components.get("activations", 0)}
    parents = {name.rpartition(".")[0] for name in held if name}
    whole, found = held.get("", 0), 0
    shown: list[str] = []
    for name in _apart(modules, parents, held, int(_DIVIDED * whole)):
        if found >= _ENOUGH * whole or len(shown) == MOST_MODULES:
            break
        shown.append(name)
        found += held[name]
    return tuple(shown)


def _apart(modules: tuple[ModuleShare, ...], parents: set[str], held: dict[str, int], most: int) -> list[str]:
    """List modules with parts that hold no more than so much, none inside another, by what they hold."""
    chosen: list[str] = []
    for name in sorted((share.name for share in modules if share.name in parents and share.name), key=lambda name: name.count(".")):
        if held[name] <= most and not any(name.startswith(f"{outer}.") for outer in chosen):
            chosen.append(name)
    return sorted(chosen, key=lambda name: (-held[name], [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in name.split(".")]))


def _takes_images(situation: Situation) -> bool:
    return (situation.model is not None and situation.model.image is not None) or any(len(spec.shape) == 4 for spec in situation.workload.inputs)


def _channels_last(situation: Situation) -> tuple[Change, ...] | str:
    if situation.workload.channels_last:
        return "it is on already"
    if not _takes_images(situation):
        return "it takes no images"
    code = "model.to(memory_format=torch.channels_last); x = x.to(memory_format=torch.channels_last)"
    return (Change("channels-last", situation.workload.with_fields(channels_last=True), code, "--channels-last"),)


def _contiguous(situation: Situation) -> tuple[Change, ...] | str:
    if not situation.workload.channels_last:
        return "channels-last is off"
    code = "model.to(memory_format=torch.contiguous_format); x = x.contiguous()"
    return (Change("channels-first", situation.workload.with_fields(channels_last=False), code, "--no-channels-last"),)


def _attention(situation: Situation) -> tuple[Change, ...] | str:
    if situation.workload.attention != "eager":
        return "attention 'eager' is not asked for"
    code = 'AutoModel.from_pretrained(..., attn_implementation="sdpa")'
    return (Change("fused attention", situation.workload.with_fields(attention="sdpa"), code, "--attention sdpa"),)


CHECKPOINTING = Lever(
    "checkpointing", "checkpointing",
    computation="a second forward pass of the blocks", risk="batch norm, if any, updates its statistics twice",
    effort="one line per block, or the model's own switch", changes=_checkpointing,
)  # fmt: skip
PARTIAL_CHECKPOINTING = Lever(
    "checkpointing", "checkpointing of the modules that hold most",
    computation="a second forward pass of these modules", risk="batch norm, if any, updates its statistics twice",
    effort="a few lines", changes=_partial,
)  # fmt: skip
CHANNELS_LAST = Lever("layout", "channels-last", computation="", risk="", effort="two lines", changes=_channels_last)
CONTIGUOUS = Lever(
    "layout", "channels-first", computation="convolutions in 16 bits convert their layout", risk="", effort="two lines", changes=_contiguous
)
ATTENTION = Lever("attention", "fused attention", computation="", risk="", effort="one argument", changes=_attention)
