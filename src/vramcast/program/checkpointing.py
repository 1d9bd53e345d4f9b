"""Activation checkpointing, module by module: a block keeps its inputs and computes its activations anew in backward."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from vramcast.errors import WorkloadError, closest_names
from vramcast.program.probe import Probe


def checkpoint_blocks(module: nn.Module, probe: Probe) -> None:
    """Checkpoint a model's repeated blocks.

    transformers' and timm's models bring their own switch. Elsewhere the blocks are the children of every `Sequential` or
    `ModuleList` that holds several modules with children of their own, outermost first; non-reentrant, as torch advises.
    """
    if _switched_on(module):
        return
    blocks = list(repeated_blocks(module))
    _checkpoint(blocks)
    if not blocks:
        probe.caveat("Checkpointing was asked for, but the model has no repeated blocks to checkpoint.")


def checkpoint_named(module: nn.Module, patterns: Sequence[str]) -> None:
    """Checkpoint the modules whose names match a pattern (fnmatch); of those that lie inside each other, the outermost.

    Of a `ModuleList` or `ModuleDict`, which is never called itself, the members are checkpointed.

    Raises:
        WorkloadError: a pattern matches no module; the message names the closest.
    """
    names = [name for name, _ in module.named_modules() if name]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise WorkloadError(f"checkpoint_modules pattern {pattern!r} matches no module. Closest: {', '.join(closest_names(pattern, names))}.")
    chosen: dict[str, nn.Module] = {}
    for name, child in module.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in chosen)
        if name and not inside and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            chosen[name] = child
    _checkpoint(part for child in chosen.values() for part in _called(child))


def _called(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
        for child in module.children():
            yield from _called(child)
    else:
        yield module


def _checkpoint(blocks: Iterable[nn.Module]) -> None:
    for block in blocks:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)


def repeated_blocks(module: nn.Module) -> Iterator[nn.Module]:
    """List the outermost blocks that a container repeats."""
    for child in module.children():
        blocks = [block for block in child.children() if any(True for _ in block.children())]
        if isinstance(child, (nn.Sequential, nn.ModuleList)) and len(blocks) > 1:
            yield from (block for block in blocks if not isinstance(block, (nn.ModuleList, nn.ModuleDict)))
        else:
            yield from repeated_blocks(child)


def _switched_on(module: nn.Module) -> bool:
    """Turn on a model's own checkpointing, where it has one that works.

    transformers 5.23, modeling_utils.py: `activation_checkpointing_enable`, in earlier versions `gradient_checkpointing_enable`, refuses without
    `supports_gradient_checkpointing`.
    timm 1.0: `set_grad_checkpointing`, which train.py calls for `--grad-checkpointing`, asserts where it is not supported.
    """
    if getattr(module, "supports_gradient_checkpointing", False):
        name = next(name for name in ("activation", "gradient") if hasattr(module, f"{name}_checkpointing_enable"))
        enable: Any = getattr(module, f"{name}_checkpointing_enable")
        enable(**{f"{name}_checkpointing_kwargs": {"use_reentrant": False}})
        return True
    switch = getattr(module, "set_grad_checkpointing", None)
    if switch is None:
        return False
    try:
        switch(True)
    except AssertionError:
        return False
    return True
