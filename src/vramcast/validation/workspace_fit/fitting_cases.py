"""The cases that the parameters are fitted on and judged by: of the sets whose memory depends on the scratch of convolutions."""

from __future__ import annotations

from dataclasses import dataclass

from vramcast.validation import registry
from vramcast.validation.accuracy import in_first_half
from vramcast.validation.case import Case
from vramcast.validation.completeness import incomplete
from vramcast.validation.outcome import sample

SETS = ("timm-a100", "real-models-a100", "ultralytics-logs", "yolo-autobatch")
_MOST_SEARCHED = 360
"""Cases of a set that every candidate is tried on; the residuals are of all."""


@dataclass(frozen=True, slots=True)
class Judgeable:
    """A case and its set."""

    case_set: str
    case: Case
    is_complete: bool
    """False: its figure is evidently not of a whole run (`completeness.py`); it is reported, and not fitted on."""

    @property
    def is_fitted_on(self) -> bool:
        """Whether its model is of the half that the parameters, like constants of environments, are fitted on."""
        return in_first_half(self.case.group)


def read(folder: str | None) -> list[Judgeable]:
    """Return every case. Raises `InvalidFileError`: the figures of a set cannot be read."""
    found = []
    for name in SETS:
        cases, _ = registry.find(name).read(folder)
        flawed = incomplete(cases)
        found += [Judgeable(name, case, case.id not in flawed) for case in cases]
    return found


def searched(cases: list[Judgeable], case_sets: tuple[str, ...] = SETS) -> list[Judgeable]:
    """Return those that candidates are tried on: of the fitting half, at most some hundred a set, evenly spread."""
    found = []
    for name in case_sets:
        usable = [item for item in cases if item.case_set == name and item.is_fitted_on and item.is_complete]
        kept = {case.id for case in sample([item.case for item in usable], _MOST_SEARCHED)}
        found += [item for item in usable if item.case.id in kept]
    return found
