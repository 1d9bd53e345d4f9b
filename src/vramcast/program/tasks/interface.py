"""What a task gives: batches as its data loader brings them, and how outputs and loss come from a module.

A task is one file in this folder and one line in `registry.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from vramcast.program.probe import Probe
from vramcast.sources.interface import DEFAULT_TARGETS, Model
from vramcast.workload import Workload

DEVICE = "cuda"
"""Programs are written for a GPU. On a forecast the tracer takes what goes there."""

Loss = Callable[..., torch.Tensor]


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch on the device."""

    args: tuple[Any, ...] = ()
    """Positional arguments of the module."""
    keywords: Mapping[str, Any] = field(default_factory=dict)
    targets: Any = None
    """What the loss compares with."""

    def tensors(self) -> Iterator[torch.Tensor]:
        """List every tensor of the batch."""
        yield from tensors_in([self.args, self.keywords, self.targets])


@dataclass(frozen=True, slots=True)
class Setting:
    """What a task needs to know of the run."""

    model: Model
    workload: Workload
    image: tuple[int, int]
    """Height and width of the images of this pass."""
    batch: int
    dtype: torch.dtype
    """Type images and other floating inputs arrive in."""

    @property
    def targets(self) -> int:
        """Objects per image."""
        return DEFAULT_TARGETS if self.workload.targets is None else self.workload.targets

    @property
    def classes(self) -> int:
        """Number of classes the module tells apart."""
        return self.workload.classes or self.model.classes or 1000


class Task(Protocol):
    """How a kind of model is fed and judged."""

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """Get a module ready: criteria, hooks where values have to be assumed."""

    def batch(self, setting: Setting) -> Batch:
        """Make one batch on the device."""

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """Run the module."""

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """Run the module and its loss; return the outputs a training loop would hold, and the loss."""

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """Do what a validation pass does with the outputs (post-processing, metrics); return what it keeps."""


def tensors_in(tree: Any) -> Iterator[torch.Tensor]:
    """List the tensors in nested containers and in objects with fields, such as model outputs."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for part in tree.values():
            yield from tensors_in(part)
    elif isinstance(tree, (list, tuple)):
        for part in tree:
            yield from tensors_in(part)


def images(setting: Setting) -> torch.Tensor:
    """Return a batch of images, N x C x H x W, as they arrive on the device."""
    shape = (setting.batch, setting.model.channels, *setting.image)
    pictures = torch.empty(shape, dtype=setting.dtype, device=DEVICE)
    if setting.workload.channels_last:
        pictures = torch.empty_strided(shape, _channels_last_strides(shape), dtype=setting.dtype, device=DEVICE)
    return pictures.random_(0, 256) if setting.dtype is torch.uint8 else pictures.normal_()


def labels(setting: Setting, *shape: int) -> torch.Tensor:
    """Return class indices of the given shape on the device."""
    return torch.zeros(shape, dtype=torch.int64, device=DEVICE)


def _channels_last_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    _, channels, height, width = shape
    return (channels * height * width, 1, width * channels, channels)
