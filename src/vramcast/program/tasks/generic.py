"""A user's module: inputs as stated, and a loss that is given or the mean of what comes out."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vramcast.errors import WorkloadError
from vramcast.input_spec import InputSpec
from vramcast.program.probe import Probe
from vramcast.program.tasks.interface import DEVICE, Batch, Setting, images, tensors_in


class Generic:
    """Inputs by name where stated, else one batch of images."""

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """Say what stands in for a loss."""
        if setting.workload.is_training and setting.workload.loss is None:
            probe.caveat("No loss was given: the mean of the outputs stands in for it. Name one with --loss file.py:function.")

    def batch(self, setting: Setting) -> Batch:
        """The stated inputs as keywords; images as the only positional argument otherwise."""
        if not setting.workload.inputs:
            return Batch(args=(images(setting),))
        return Batch(keywords={spec.name: _input(spec, setting) for spec in setting.workload.inputs})

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """Whatever the module returns."""
        return module(*batch.args, **batch.keywords)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """The mean of every floating output."""
        outputs = self.outputs(module, batch)
        floating = [tensor.float().mean() for tensor in tensors_in(outputs) if tensor.is_floating_point() and tensor.requires_grad]
        if not floating:
            raise WorkloadError("the module returns no floating-point tensor that leads to a parameter, so there is nothing to train. Name a loss.")
        return outputs, torch.stack(floating).sum() if len(floating) > 1 else floating[0]

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """Outputs are kept as they are."""
        return outputs


def _input(spec: InputSpec, setting: Setting) -> torch.Tensor:
    dtype = getattr(torch, spec.dtype, None)
    if not isinstance(dtype, torch.dtype):
        legal = "float32, float16, bfloat16, int64, uint8, bool …"
        raise WorkloadError(f"input {spec.name!r} has type {spec.dtype!r}, which is none of torch's: {legal}")
    if dtype is torch.float32 and setting.dtype.is_floating_point:
        dtype = setting.dtype
    return torch.zeros(spec.shape, dtype=dtype, device=DEVICE)
