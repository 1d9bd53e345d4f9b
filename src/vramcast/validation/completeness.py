"""Which measured figures are evidently not of one whole run of what is forecast: told by what is known of them, whatever was forecast.

Cases of one set that differ in nothing but the batch are compared. Where a batch measures less than a smaller one, either it did not reach its
peak or the smaller one shared the card; batches that share one and the same figure with two others did not reach theirs. Logs that end after a
few batches did not either; and where a trainer of its time handled crowds of objects in another way than today's, its figure says nothing of
today's. Such rows stay in the errors, and out of the calibration.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from vramcast.validation.case import Case
from vramcast.validation.gpumemnet import SAME_FIGURE

OUT_OF_ORDER = "of two batches of the same model, the smaller measured more"
FEW_BATCHES = "the log ends after a few batches"
CROWDED = "more objects an image than the trainer of its time handled as today's does"
_SCATTER = 0.02
"""By how much two readings may differ where the batch plays no part, as where the optimizer's step sets the peak."""
_CROWD = 100
"""Objects per image from which the assigner's tables of every pair of object and anchor count (ultralytics before 8.4)."""
_SUSPICIOUS = 3
"""Batches with the same figure."""


def incomplete(cases: Iterable[Case]) -> dict[str, str]:
    """Return id -> reason for the figures of a set that are evidently not of a whole run."""
    alike: dict[bytes, list[Case]] = defaultdict(list)
    for case in cases:
        alike[_all_but_batch(case)].append(case)
    found: dict[str, str] = {}
    for series in alike.values():
        found.update(_incomplete_of(sorted(series, key=lambda case: case.workload.batch)))
    return found


def _incomplete_of(series: Sequence[Case]) -> Iterable[tuple[str, str]]:
    """Yield ids and reasons of cases that differ in nothing but the batch, in its order."""
    figures = Counter(case.measured_bytes for case in series)
    for case in series:
        if case.environment.notes == SAME_FIGURE or figures[case.measured_bytes] >= _SUSPICIOUS:
            yield case.id, SAME_FIGURE
        elif any(_is_out_of_order(case, other) for other in series):
            yield case.id, OUT_OF_ORDER
        elif "batches logged" in case.environment.notes:
            yield case.id, FEW_BATCHES
        elif case.environment.trainer and (case.workload.targets or 0) > _CROWD:
            yield case.id, CROWDED


def _is_out_of_order(case: Case, other: Case) -> bool:
    small, large = sorted((case, other), key=lambda item: item.workload.batch)
    return small.workload.batch < large.workload.batch and small.measured_bytes > (1 + _SCATTER) * large.measured_bytes


def _all_but_batch(case: Case) -> bytes:
    environment = msgspec.structs.replace(case.environment, notes="", source="")
    return msgspec.json.encode((case.model, case.workload.with_fields(batch=1), case.gpu, case.metric, environment))
