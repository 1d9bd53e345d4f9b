"""Device memory of training runs on an A100-40GB, from the GPUMemNet data set (Yousefzadeh-Asl-Miandoab et al., ITU).

Published for non-commercial use (CC BY-NC): the figures are read from a folder, and only aggregate errors are kept here.
"""

from __future__ import annotations

import re
from collections import Counter

import msgspec

from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.figures import AS_USER, Figures, Forecaster
from vramcast.validation.table import environment_of, measured_bytes, rows
from vramcast.workload import Workload

TIMM_TABLE = "timm_train_a100.csv"
REAL_MODELS_TABLE = "real_models_a100.csv"
_CITATION = "GPUMemNet, https://github.com/itu-rad/GPUMemNet, commit f01eb0592e1b2030d3bceb73441747912b6652a6 (CC BY-NC)"
_ENVIRONMENT = "one constant (CUDA context, kernels, and whatever else the process held), fitted on one half of the models"
_GPU = "A100 40GB"
SAME_FIGURE = "the table states one and the same figure for several batches of the model: the runs probably ended before their peak"
_SUSPICIOUS = 3
"""Batches of a model with the same figure."""
_REAL_MODELS = {"resnet": "torchvision:resnet50", "vgg": "torchvision:vgg16"}


class TimmOnA100(CaseSet):
    """About 510 timm models. Upstream states neither image size, precision nor optimizer; assumed are the model's own size and what timm's
    training script, to which the authors added a few lines, does by default: fp32, "sgd", which is Nesterov momentum with a weight decay of
    2e-5, `cudnn.benchmark`, and a loader that puts the next batch on the card. What cuDNN's benchmark takes for moments of the first step is
    seldom seen by a monitor that polls, so the figures are held against the steps after it."""

    name = "timm-a100"
    citation = _CITATION
    environment = f"{_ENVIRONMENT}, like the parameters of the convolution rule"
    is_open = False

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Rows whose run probably ended before its peak (`low`) are not expressed."""
        cases, unexpressed = [], []
        table = rows(folder, TIMM_TABLE)
        alike = Counter((row["model"], row["value"]) for row in table)
        for row in table:
            if alike[row["model"], row["value"]] >= _SUSPICIOUS:
                row["notes"] = SAME_FIGURE
            if row["confidence"] == "low":
                unexpressed.append(Unexpressed(row["id"], "the run probably ran out of memory before its peak"))
                continue
            workload = Workload.train(batch=int(row["batch_per_gpu"]), preset="timm", phases="step")
            cases.append(_case(row, f"timm:{row['model']}", workload, is_assumed=True))
        return cases, unexpressed

    def forecast(self, case: Case, by: Forecaster = AS_USER) -> Figures:
        """Forecast the steps after the first."""
        found = super().forecast(case, by)
        return msgspec.structs.replace(found, reserved_bytes=found.steady_reserved_bytes or found.reserved_bytes)


class RealModelsOnA100(CaseSet):
    """ResNet-50 and VGG-16, fp32, Adam, 224 px."""

    name = "real-models-a100"
    citation = _CITATION
    environment = _ENVIRONMENT
    is_open = False

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """The transformer rows state neither optimizer nor attention implementation, and no configuration comes with them."""
        cases, unexpressed = [], []
        for row in rows(folder, REAL_MODELS_TABLE):
            if row["model"] not in _REAL_MODELS:
                unexpressed.append(Unexpressed(row["id"], "optimizer and configuration are not stated"))
                continue
            workload = Workload.train(batch=int(row["batch_per_gpu"]), image=224, optimizer="adam")
            cases.append(_case(row, _REAL_MODELS[row["model"]], workload, is_assumed=False))
        return cases, unexpressed


def errors_of(estimator: str, folder: str, table: str) -> list[float]:
    """Return the signed relative errors of another estimator, as the data set's authors ran it, on device memory.

    `estimator` is `FakeTensor` (torch's) or `GPUMemNet` (the authors' own). Its figures stand in the tables beside the measured ones, in
    column `extra`; rows without one, and those that ran out of memory, are left out.

    Raises:
        InvalidFileError: as `rows`.
    """
    errors = []
    for row in rows(folder, table):
        match = re.search(rf"{estimator}\D*([\d.]+)", row["extra"])
        if match and row["confidence"] != "low":
            errors.append(float(match[1]) / float(row["value"]) - 1)
    return errors


def _case(row: dict[str, str], model: str, workload: Workload, *, is_assumed: bool) -> Case:
    return Case(
        id=row["id"], model=model, workload=workload, gpu=_GPU, metric="device", measured_bytes=measured_bytes(row), group=model,
        environment=environment_of(row, is_assumed=is_assumed),
    )  # fmt: skip
