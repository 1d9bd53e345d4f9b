"""The program: one model under one workload, as code that runs on a GPU.

It runs on meta tensors for a forecast and on a real card for a measurement; there is no second description of a
training step. It tells a `Probe` where it is and changes nothing for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from vramcast.program.precision import module_dtype
from vramcast.program.tasks.interface import Setting, Task
from vramcast.sources.interface import Model
from vramcast.workload import Workload

DEFAULT_IMAGE = (224, 224)


@dataclass(frozen=True, slots=True)
class Program:
    """A module ready to run. `module` is on the device the program was built for."""

    module: nn.Module
    task: Task
    setting: Setting

    @property
    def workload(self) -> Workload:
        """What is run."""
        return self.setting.workload


def setting_of(model: Model, workload: Workload) -> Setting:
    """Return the sizes of a run: the workload's, else the model's own."""
    image = workload.image or model.image or DEFAULT_IMAGE
    if workload.image_range is not None:
        image = (max(workload.image_range),) * 2
    return Setting(model=model, workload=workload, image=image, batch=workload.batch, dtype=module_dtype(workload.precision))
