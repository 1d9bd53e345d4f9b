"""What a study found, in sentences with figures. Whether something is linear is said by R² alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from vramcast.study.models.findings import GroupFindings, PartFindings, Study
from vramcast.study.models.fits import Fit
from vramcast.study.models.measures import INFERENCE, INFERENCE_ACTIVATIONS, TRAINING, TRAINING_ACTIVATIONS, WEIGHTS

_LINEAR, _PARTLY = 0.98, 0.5
"""R² from which on memory is called linear, and partly linear, in the parameters."""


def statement(study: Study) -> tuple[str, ...]:
    """Return the sentences: a few for each group of models, the largest group first."""
    groups = sorted(study.groups, key=lambda group: -group.models)
    return tuple(" ".join(_about(group, study)) for group in groups)


def verdict(fit: Fit) -> str:
    """Return how linear a figure is in the parameters: `linear`, `partly linear`, `only loosely tied`."""
    if fit.r_squared >= _LINEAR:
        return "linear"
    return "partly linear" if fit.r_squared >= _PARTLY else "only loosely tied"


def _about(group: GroupFindings, study: Study) -> list[str]:
    fits = group.fits
    if not {WEIGHTS, INFERENCE, TRAINING} <= fits.keys():
        return [f"{group.name[:1].upper()}{group.name[1:]} ({group.models} models): too few differ in their parameters."]
    weights, activations = fits[WEIGHTS], fits.get(TRAINING_ACTIVATIONS)
    said = [
        f"{group.name[:1].upper()}{group.name[1:]} ({group.models} models):",
        f"weights are {verdict(weights)} in parameters (R² {weights.r_squared:.4f}, {weights.slope:.2f} bytes each).",
        f"Inference is {_in_words(fits[INFERENCE])}; training {_in_words(fits[TRAINING])}.",
    ]
    if INFERENCE_ACTIVATIONS in fits and activations is not None:
        said.append(
            f"What spoils it are activations: R² {fits[INFERENCE_ACTIVATIONS].r_squared:.2f} in inference, {activations.r_squared:.2f} in training."
        )
    low, middle, high = group.train_over_infer
    said.append(f"Training takes {middle:.1f} times what inference does (80 % of the models: {low:.1f} to {high:.1f}).")
    return said + _within(group, [part for part in study.series if part.group == group.name])


def _in_words(fit: Fit) -> str:
    return f"{verdict(fit)} (R² {fit.r_squared:.2f}, rank correlation {fit.spearman:.2f}, elasticity {fit.elasticity:.2f})"


def _within(group: GroupFindings, series: Sequence[PartFindings]) -> list[str]:
    """Say how it is among the sizes of one network, in medians over such series."""
    fits = [part.fits[TRAINING] for part in series if TRAINING in part.fits]
    if not fits:
        return []
    inside, across = _median(fits, lambda fit: fit.log_r_squared), group.fits[TRAINING].log_r_squared
    return [
        f"Among the sizes of one network ({len(fits)} series of three or more) training memory follows parameters "
        f"{'more' if inside > across else 'no more'} closely: R² of the logarithms {inside:.2f} in the median, {across:.2f} across all; "
        f"elasticity {_median(fits, lambda fit: fit.elasticity):.2f}."
    ]


def _median(fits: Sequence[Fit], of: Callable[[Fit], float]) -> float:
    return statistics.median(map(of, fits))
