"""Which measured figures are evidently of runs that ended before their peak: told by the table alone, whatever was forecast.

Both rules compare cases of one set that differ in nothing but the batch. A batch that measures less than a smaller one did not reach its peak;
neither did those that share one and the same figure with two other batches. Such rows stay in the errors, and out of the calibration.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from vramcast.validation.case import Case
from vramcast.validation.gpumemnet import SAME_FIGURE

LESS_THAN_A_SMALLER_BATCH = "a smaller batch of the same model measured more"
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
        smaller = [other.measured_bytes for other in series if other.workload.batch < case.workload.batch]
        if case.environment.notes == SAME_FIGURE or figures[case.measured_bytes] >= _SUSPICIOUS:
            yield case.id, SAME_FIGURE
        elif smaller and case.measured_bytes < max(smaller):
            yield case.id, LESS_THAN_A_SMALLER_BATCH


def _all_but_batch(case: Case) -> bytes:
    environment = msgspec.structs.replace(case.environment, notes="", source="")
    return msgspec.json.encode((case.model, case.workload.with_fields(batch=1), case.gpu, case.metric, environment))
