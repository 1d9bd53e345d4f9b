"""Real models of many families, traced from end to end: what must hold whatever the model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from zoo_models import CONFIGURATIONS, RECURRENT, TIMM, TORCHVISION, ULTRALYTICS, Run

from vramcast import breakdown
from vramcast.allocator.replay import replay
from vramcast.backends.eager.program import trace_program
from vramcast.pipeline import forecast
from vramcast.sources.interface import Model
from vramcast.sources.registry import find
from vramcast.trace import Component, Event, Trace
from vramcast.workload import Workload

ADA = (8, 9)


@pytest.mark.parametrize("run", [*TORCHVISION, *ULTRALYTICS, *TIMM], ids=str)
def test_models_of_packages(run: Run) -> None:
    check(find(run.name), workload_of(run))


@pytest.mark.parametrize("architecture", CONFIGURATIONS)
@pytest.mark.parametrize("fields", [{"precision": "amp-bf16"}, {"mode": "infer"}], ids=["train", "infer"])
def test_transformers_folders(architecture: str, fields: dict[str, str], tmp_path: Path) -> None:
    settings = CONFIGURATIONS[architecture] | {"architectures": [architecture]}
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    takes_images = "ViT" in architecture or "Detr" in architecture
    check(find(f"transformers:{tmp_path}"), workload_of(Run("", {"batch": 2, **({} if takes_images else {"seq": 32}), **fields})))


@pytest.mark.parametrize("function", ["lstm", "gru"])
@pytest.mark.parametrize("fields", [{"precision": "amp-fp16"}, {"mode": "infer"}], ids=["train", "infer"])
def test_recurrent_networks_of_a_users_file(function: str, fields: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "models.py"
    path.write_text(RECURRENT, encoding="utf-8")
    check(find(f"{path}:{function}"), workload_of(Run("", {"inputs": ["x=4x20x16:float32"], **fields})))


def workload_of(run: Run) -> Workload:
    """The workload of a run; training unless it says otherwise."""
    fields = dict(run.fields)
    return Workload.infer(**fields) if fields.pop("mode", "train") == "infer" else Workload.train(**fields)


def check(model: Model, workload: Workload) -> None:
    """Trace a model, and hold what its trace says against the module itself."""
    built: list[nn.Module] = []

    def build(classes: int | None) -> nn.Module:
        built.append(model.build(classes))
        return built[-1]

    trace = trace_program(replace(model, build=build), workload, ADA, lambda _: None)
    trace.validate()
    parameters = list(built[-1].parameters())
    weights = bytes_of(parameters)
    assert int(trace.sizes[trace.components == Component.WEIGHTS].sum()) == weights
    assert step_end(trace, 0) == step_end(trace, 1), "memory is lost between steps"
    if workload.is_training:
        gradients = bytes_of(parameter.grad for parameter in parameters if parameter.grad is not None)
        assert held_at_the_end(trace, Component.GRADIENTS) == gradients
        trainable = bytes_of(parameter for parameter in parameters if parameter.requires_grad)
        # Some parameters take no part in a loss; at a batch of one, a class token's gradient is a view of that of the whole sequence.
        assert 0.5 * trainable < gradients <= 1.05 * trainable
    check_timeline(trace, weights)
    check_range(trace, workload)


def check_timeline(trace: Trace, weights: int) -> None:
    """What an allocator makes of it."""
    timeline = replay(trace)
    peak = timeline.peak_event()
    assert timeline.peak_allocated > weights
    assert bool(np.all(timeline.reserved >= timeline.allocated))
    assert sum(breakdown.components(trace, timeline, peak, context=7).values()) == int(timeline.reserved[peak]) + 7
    assert sum(share.bytes for share in breakdown.operators(trace, timeline, peak)) == int(timeline.allocated[peak])


def check_range(trace: Trace, workload: Workload) -> None:
    """The range holds the forecast, and these small models fit on a card of 24 GB with room for many times as much."""
    found = forecast(trace, "rtx 4090", workload)
    assert found.peak.low_bytes < found.peak.device_bytes < found.peak.high_bytes
    assert found.calibration.cases > 0
    assert found.fits
    assert found.confidence is not None
    assert found.confidence > 0.95


def bytes_of(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of the storages behind some tensors, each counted once."""
    return sum({tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors}.values())


def step_end(trace: Trace, step: int) -> int:
    """Bytes alive when a step is over (in inference: when its forward is)."""
    names = ("forward",) if all(phase.name != "backward" for phase in trace.phases) else None
    wanted = [index for index, phase in enumerate(trace.phases) if phase.step == step and (names is None or phase.name in names)]
    last = int(np.flatnonzero(np.isin(trace.event_phases(), wanted))[-1])
    changes = np.where(trace.kinds == Event.ALLOCATE, trace.sizes[trace.blocks], -trace.sizes[trace.blocks])
    return int(changes[: last + 1].sum())


def held_at_the_end(trace: Trace, component: Component) -> int:
    """Bytes of a component that outlive the trace."""
    live = trace.live_blocks(len(trace) - 1)
    return int(trace.sizes[live][trace.components[live] == component].sum())
