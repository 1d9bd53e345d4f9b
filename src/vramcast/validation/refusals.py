"""False refusals: runs that ran on their card, of which `vramcast fit` would say that they surely do not fit."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from vramcast.calibration.groups import cell_of
from vramcast.calibration.interval import device_range
from vramcast.calibration.kinds import kind_of_name
from vramcast.calibration.table import comparable
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.context import context_bytes
from vramcast.gpu.spec import GpuSpec
from vramcast.validation.case import Law
from vramcast.validation.outcome import Outcome

STATEMENT = "runs that ran on their card, and are not said surely not to fit it"


def law(outcomes: Sequence[Outcome]) -> tuple[Law, ...]:
    """Return how many of the runs that have a forecast and a card are not refused; nothing where there is none."""
    ran = [outcome for outcome in outcomes if is_tried(outcome)]
    refused = tuple(outcome.case.id for outcome in ran if is_refused(outcome))
    return (Law(statement=STATEMENT, of=len(ran), broken=refused),) if ran else ()


def is_tried(outcome: Outcome) -> bool:
    """Tell whether a run has a forecast of torch's allocator, and a card it ran on."""
    return outcome.figures is not None and outcome.figures.reserved_bytes > 0 and bool(outcome.case.card or outcome.case.gpu)


def is_refused(outcome: Outcome) -> bool:
    """Tell whether even the lower end of the forecast's range is more than the card has.

    `fit` also replays the allocator on the full card, which may find room where this says there is none: it refuses no more than is counted.
    """
    figures, case = outcome.figures, outcome.case
    if figures is None:
        return False
    card = case.card or _card(case.gpu)
    context = context_bytes(card, loads_eagerly=case.workload.environment.loads_eagerly)
    ratios = comparable(cell_of(kind_of_name(case.model), case.workload.mode, case.workload.precision)).distribution
    return device_range(figures.reserved_bytes, context, ratios)[0] > card.usable_bytes


@functools.cache
def _card(name: str) -> GpuSpec:
    return resolve(name)
