"""Batches on their way: the next ones already on the GPU, and images that arrive as bytes.

Loaders that prefetch to the GPU hold the current batch and `prefetch` further ones (timm's `PrefetchLoader`, NVIDIA
DALI). Images staged as uint8 become floats on the card, where the bytes and the float batch live side by side, and the
division by 255 makes a second float batch (ultralytics 8.4, `preprocess_batch`: `img.float() / 255`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from vramcast.program.precision import module_dtype
from vramcast.program.probe import Probe
from vramcast.program.tasks.interface import Batch, Setting, Task, tensors_in
from vramcast.trace import Component


def stream(task: Task, setting: Setting, probe: Probe) -> Iterator[Batch]:
    """Yield batches without end, with `workload.prefetch` further ones staged on the device."""
    staged: deque[Batch] = deque()
    while True:
        while len(staged) <= setting.workload.prefetch:
            staged.append(_arrive(task, setting, probe))
        yield on_card(staged.popleft(), setting, probe)


def _arrive(task: Task, setting: Setting, probe: Probe) -> Batch:
    """Return the next batch as it comes from the host."""
    is_bytes = setting.workload.prefetch_dtype == "uint8"
    batch = task.batch(replace(setting, dtype=torch.uint8) if is_bytes else setting)
    component = Component.STAGING if is_bytes or setting.workload.prefetch else Component.INPUTS
    probe.claim(component, batch.tensors())
    return batch


def on_card(batch: Batch, setting: Setting, probe: Probe) -> Batch:
    """Return a batch ready for the module: bytes turned into floats in [0, 1]."""
    if not any(_is_picture(tensor) for tensor in batch.tensors()):
        return batch
    dtype = module_dtype(setting.workload.precision)
    ready = Batch(
        _map(batch.args, lambda picture: picture.to(dtype) / 255), _map(dict(batch.keywords), lambda picture: picture.to(dtype) / 255), batch.targets
    )
    probe.claim(Component.INPUTS, tensors_in(ready.args))
    return ready


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
