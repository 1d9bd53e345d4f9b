"""How far off the forecasts of some parameters are, as one number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vramcast.validation import registry
from vramcast.validation.accuracy import Accuracy, accuracy, environment_constant, judge_with
from vramcast.validation.outcome import Outcome

_TAIL = 1 / 3
"""Weight of the 90th percentile beside the median: about the ratio in which the two stand, so that both count alike."""


def loss(outcomes: Sequence[Outcome]) -> float:
    """Return the mean over the sets, whatever their number of cases, of median and 90th percentile of the absolute relative errors.

    Where a set's environment is not known, its constant is fitted on these outcomes first.
    """
    names = sorted({outcome.case_set for outcome in outcomes})
    parts = [[outcome for outcome in outcomes if outcome.case_set == name] for name in names]
    return sum(_of_set(part) for part in parts) / len(parts)


def constant_of(outcomes: Iterable[Outcome]) -> int | None:
    """Return the constant of one set's environment; None where it has none."""
    answered = [outcome for outcome in outcomes if outcome.figures is not None]
    is_fitted = answered and registry.find(answered[0].case_set).environment
    return environment_constant(answered) if is_fitted else None


def errors(outcomes: Iterable[Outcome], constant: int | None) -> Accuracy:
    """Return the errors of one set's outcomes under a constant."""
    return accuracy(judge_with(outcome, constant) for outcome in outcomes if outcome.figures is not None)


def _of_set(outcomes: Sequence[Outcome]) -> float:
    found = errors(outcomes, constant_of(outcomes))
    return found.median + _TAIL * found.p90
