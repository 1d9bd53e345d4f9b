"""Activation checkpointing, module by module: a block keeps its inputs and computes its activations anew in backward."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn
from torch.utils.checkpoint import checkpoint

from vramcast.program.probe import Probe


def checkpoint_blocks(module: nn.Module, probe: Probe) -> None:
    """Checkpoint a model's repeated blocks.

    transformers' models bring their own switch. Elsewhere the blocks are the children of every `Sequential` or
    `ModuleList` that holds several modules with children of their own, outermost first; non-reentrant, as torch advises.
    """
    enable = getattr(module, "gradient_checkpointing_enable", None)
    if enable is not None:
        enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return
    blocks = list(repeated_blocks(module))
    for block in blocks:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    if not blocks:
        probe.caveat("Checkpointing was asked for, but the model has no repeated blocks to checkpoint.")


def repeated_blocks(module: nn.Module) -> Iterator[nn.Module]:
    """List the outermost blocks that a container repeats."""
    for child in module.children():
        blocks = [block for block in child.children() if any(True for _ in block.children())]
        if isinstance(child, (nn.Sequential, nn.ModuleList)) and len(blocks) > 1:
            yield from (block for block in blocks if not isinstance(block, (nn.ModuleList, nn.ModuleDict)))
        else:
            yield from repeated_blocks(child)
