"""The cases that the parameters are fitted on and judged by: of the sets whose memory depends on the scratch of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vramcast.validation import registry
from vramcast.validation.accuracy import in_first_half
from vramcast.validation.case import Case
from vramcast.validation.completeness import incomplete
from vramcast.validation.outcome import sample

SETS = ("timm-a100", "real-models-a100", "ultralytics-logs", "yolo-autobatch")
_MOST = 100
"""Cases of each half of a set: few enough to try dozens of candidates on them within minutes."""


@dataclass(frozen=True, slots=True)
class Judgeable:
    """A case and its set."""

    case_set: str
    case: Case

    @property
    def is_fitted_on(self) -> bool:
        """Whether its model is of the half that the parameters, like constants of environments, are fitted on."""
        return in_first_half(self.case.group)


def read(folder: str | None) -> list[Judgeable]:
    """Return cases of both halves of each set, evenly spread; those whose figures are evidently not of a whole run are left out.

    Raises:
        InvalidFileError: the figures of a set cannot be read.
    """
    found: list[Judgeable] = []
    for name in SETS:
        cases, _ = registry.find(name).read(folder)
        flawed = incomplete(cases)
        usable = [case for case in cases if case.id not in flawed]
        for is_fitted_on in (True, False):
            half = [case for case in usable if in_first_half(case.group) is is_fitted_on]
            found += [Judgeable(name, case) for case in sample(half, _MOST)]
    return found


def fitted_on(cases: Sequence[Judgeable], case_sets: Sequence[str] = SETS) -> list[Judgeable]:
    """Return those of the fitting half, of some sets."""
    return [item for item in cases if item.is_fitted_on and item.case_set in case_sets]
