"""One model of a study: built, traced in inference and in training, and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vramcast.errors import VramcastError
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import estimate
from vramcast.sources import registry
from vramcast.study.models.held import figures_of
from vramcast.study.models.row import ModeFigures, Row
from vramcast.study.models.workloads import workload_of

MODES = ("infer", "train")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is forecast: a model's full name, the fields of the workload that were given, and the card."""

    model: str
    fields: Mapping[str, Any]
    card: GpuSpec | None


def forecast_model(asked: Asked) -> Row:
    """Forecast one model; what goes wrong is part of the row."""
    try:
        return _row(asked)
    except VramcastError as error:
        return Row(model=asked.model, error=str(error))
    except Exception as error:  # a defect of vramcast's own is a row as well, and no reason to lose the others
        return Row(model=asked.model, error=f"{type(error).__name__}: {error}")


def killed(asked: Asked) -> Row:
    """Return the row of a model whose process died."""
    return Row(model=asked.model, error="the process that forecast it was killed, alone as well")


def _row(asked: Asked) -> Row:
    model = registry.find(asked.model)
    found: dict[str, ModeFigures] = {}
    image, parameters, error = model.image, 0, None
    for mode in MODES:
        workload = workload_of(asked.fields, mode, model.task)
        image = workload.image or model.image
        try:
            made = estimate(asked.model, workload, asked.card)
        except VramcastError as reason:
            error = f"{mode}: {reason}"
            continue
        found[mode], parameters = figures_of(made, image), made.model.parameters
    return Row(model=asked.model, task=model.task, image=image, parameters=parameters, error=error, **found)
