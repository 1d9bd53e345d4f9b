"""Coordinate descent: one parameter after the other takes the best of its values, until none changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vramcast.validation.workspace_fit.knobs import Knob
from vramcast.workspace.cudnn_parameters import ConvolutionParameters

Losses = Callable[[Sequence[ConvolutionParameters]], list[float]]
_ROUNDS = 3
_GAIN = 0.0002
"""What a value must be better by than the one in place, as a relative error: less is chance."""


def search(start: ConvolutionParameters, knobs: Sequence[Knob], losses: Losses, progress: Callable[[int, int], None]) -> ConvolutionParameters:
    """Return the parameters found; `progress(done, all)` counts the steps, of which the last ones may not be needed."""
    parameters, steps = start, _ROUNDS * len(knobs)
    for turn in range(_ROUNDS):
        before = parameters
        for index, knob in enumerate(knobs):
            parameters = _best(parameters, knob, losses)
            progress(turn * len(knobs) + index + 1, steps)
        if parameters == before:
            break
    progress(steps, steps)
    return parameters


def _best(parameters: ConvolutionParameters, knob: Knob, losses: Losses) -> ConvolutionParameters:
    others = [knob.set_to(parameters, value) for value in knob.values if value != knob.value_in(parameters)]
    candidates = [parameters, *others]
    found = losses(candidates)
    best = min(range(len(candidates)), key=lambda index: (found[index], index))
    return candidates[best] if found[best] < found[0] - _GAIN else parameters
