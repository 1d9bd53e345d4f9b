"""Batches on their way: bytes, floats, and batches staged ahead."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from traced_steps import events_of, held_as, model_of, phase_peak, traced

from vramcast.trace import Component, Trace
from vramcast.workload import Habits, Workload

BATCH, SIDE = 4, 32
PIXELS = BATCH * 3 * SIDE * SIDE
LABELS = 8 * BATCH


class Pooled(nn.Module):
    """Next to no activations beside the images."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.mean((2, 3)))


MODEL = model_of(Pooled, "classify", image=(SIDE, SIDE), classes=10)


def staged(**fields: object) -> Trace:
    return traced(MODEL, Workload.train(**{"batch": BATCH, "steps": 3, "optimizer": "sgd", **fields}))


def inputs_during(trace: Trace, phase: str) -> int:
    """Most bytes of batches, staged or current, alive in a phase of the last step."""
    events = events_of(trace, phase, 2)
    return max(held_as(trace, Component.INPUTS, int(event)) + held_as(trace, Component.STAGING, int(event)) for event in events)


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_batches_staged_ahead_lie_beside_the_current_one(prefetch: int) -> None:
    trace = staged(prefetch=prefetch)
    assert inputs_during(trace, "forward") == (1 + prefetch) * (4 * PIXELS + LABELS)
    # While the next one arrives, the batch of the step before is still held.
    assert inputs_during(trace, "staging") == (2 + prefetch) * (4 * PIXELS + LABELS)


def test_bytes_become_floats_in_the_step() -> None:
    trace = staged(prefetch_dtype="uint8")
    assert inputs_during(trace, "forward") == 4 * PIXELS + LABELS
    # The last step's floats, this one's bytes, and two float batches: `img.float() / 255`.
    floats = staged()
    assert phase_peak(trace, "staging", 2) - phase_peak(floats, "staging", 2) == (1 + 4) * PIXELS


def test_a_loader_converts_in_place_on_arrival() -> None:
    trace = staged(prefetch_dtype="uint8", habits=Habits(conversion="loader"))
    assert inputs_during(trace, "forward") == 4 * PIXELS + LABELS
    assert phase_peak(trace, "staging", 2) - phase_peak(staged(), "staging", 2) == PIXELS


def test_a_loader_that_prefetches_stages_floats() -> None:
    trace = staged(prefetch_dtype="uint8", prefetch=1, habits=Habits(conversion="loader"))
    assert inputs_during(trace, "forward") == 2 * (4 * PIXELS + LABELS)
    bytes_ahead = staged(prefetch_dtype="uint8", prefetch=1)
    assert inputs_during(bytes_ahead, "forward") == 4 * PIXELS + LABELS + PIXELS + LABELS


@pytest.mark.parametrize(("precision", "size"), [("fp32", 4), ("amp-fp16", 4), ("bf16", 2)])
def test_images_arrive_in_the_modules_type(precision: str, size: int) -> None:
    for conversion in ("step", "loader"):
        trace = staged(precision=precision, prefetch_dtype="uint8", habits=Habits(conversion=conversion))
        assert inputs_during(trace, "forward") == size * PIXELS + LABELS
