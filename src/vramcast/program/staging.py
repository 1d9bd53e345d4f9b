"""Batches on their way: the next ones already on the GPU, and images that arrive as bytes.

Loaders that prefetch to the GPU hold the current batch and `prefetch` further ones (timm's `PrefetchLoader`, NVIDIA
DALI). Images staged as uint8 become floats on the card. A step that converts them has the bytes and two float batches
side by side (ultralytics 8.4, `preprocess_batch`: `img.float() / 255`); a loader that converts them on arrival works in
place and on a stream of its own, whose memory the step cannot use (timm 1.0, data/loader.py: `.to(dtype).sub_(mean).div_(std)`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from vramcast.program.probe import Probe
from vramcast.program.tasks.interface import Batch, Setting, Task, tensors_in
from vramcast.trace import Component

MEAN, DEVIATION = 117.0, 58.0
"""About the mean and deviation of natural images, in bytes. Values make no difference to memory."""


def stream(task: Task, setting: Setting, probe: Probe) -> Iterator[Batch]:
    """Yield batches without end, with `workload.prefetch` further ones staged on the device."""
    staged: deque[Batch] = deque()
    side = torch.cuda.Stream() if setting.workload.habits.conversion == "loader" else None
    while True:
        while len(staged) <= setting.workload.prefetch:
            with torch.cuda.stream(side):
                staged.append(_arrive(task, setting, probe))
        yield on_card(staged.popleft(), setting, probe)


def _arrive(task: Task, setting: Setting, probe: Probe) -> Batch:
    """Return the next batch as its loader hands it over."""
    is_bytes = setting.workload.prefetch_dtype == "uint8"
    batch = task.batch(replace(setting, dtype=torch.uint8) if is_bytes else setting)
    component = Component.STAGING if is_bytes or setting.workload.prefetch else Component.INPUTS
    probe.claim(component, batch.tensors())
    if setting.workload.habits.conversion == "loader":
        batch = _converted(batch, lambda picture: picture.to(setting.dtype).sub_(MEAN).div_(DEVIATION))
        probe.claim(component, batch.tensors())
    return batch


def on_card(batch: Batch, setting: Setting, probe: Probe) -> Batch:
    """Return a batch ready for the module: bytes that are left turned into floats in [0, 1]."""
    if not any(_is_picture(tensor) for tensor in batch.tensors()):
        return batch
    ready = _converted(batch, lambda picture: picture.to(setting.dtype) / 255)
    probe.claim(Component.INPUTS, tensors_in([ready.args, ready.keywords]))
    return ready


def _converted(batch: Batch, convert: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
    return Batch(_map(batch.args, convert), _map(dict(batch.keywords), convert), batch.targets)


def _is_picture(tensor: torch.Tensor) -> bool:
    return tensor.dtype is torch.uint8 and tensor.dim() == 4


def _map(tree: Any, convert: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(tree, torch.Tensor):
        return convert(tree) if _is_picture(tree) else tree
    if isinstance(tree, dict):
        return {key: _map(part, convert) for key, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_map(part, convert) for part in tree)
    return tree
