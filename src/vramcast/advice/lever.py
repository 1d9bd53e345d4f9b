"""What a lever is: a workload changed in one respect, what that costs, and how it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vramcast.answer import Estimate
from vramcast.sources.interface import Model
from vramcast.workload import Workload

Kind = Literal["precision", "layout", "checkpointing", "attention", "update", "gradients", "ema", "batch", "size", "frozen", "staging",
               "validation", "cache", "allocator", "benchmark"]  # fmt: skip
"""What a lever changes; two of a kind are not pulled together."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What is asked about, as levers see it."""

    model: Model | None
    """None: a number of parameters, of which nothing else is known."""
    workload: Workload
    estimate: Estimate
    """The forecast without any lever."""
    bf16: bool = True
    """The card calculates in bfloat16: compute capability 8.0 and later."""

    @property
    def is_ultralytics(self) -> bool:
        """Whether the model is trained by `YOLO.train(...)`, whose arguments take the place of code."""
        return self.model is not None and self.model.source == "ultralytics"


@dataclass(frozen=True, slots=True)
class Change:
    """One strength of a lever."""

    name: str
    """What is done: `batch 8, accumulated twice`."""
    workload: Workload
    code: str
    """The lines or the argument that do it."""
    options: str
    """The options of `vramcast estimate` that forecast it."""


@dataclass(frozen=True, slots=True)
class Lever:
    """One way to need less. Where a cost is none, it is an empty text."""

    kind: Kind
    name: str
    computation: str
    """What it costs in time."""
    risk: str
    """What may come out otherwise."""
    effort: str
    """What has to be changed."""
    changes: Callable[[Situation], tuple[Change, ...] | str]
    """The changed workloads, the mildest first; a text says why it does not apply."""


TRAINING_ONLY = "nothing is trained"
INFERENCE_ONLY = "it is trained"
