"""The one verdict of all commands: does it fit, and how sure is that.

It follows the share of comparable measured cases that would have ended like the forecast, not the forecast alone.
"""

from __future__ import annotations

import math
from typing import Literal

Verdict = Literal["fits", "too close to call", "does not fit"]
CALLED_FROM = 0.8
"""Share of cases that have to agree for a verdict to be given at all."""
CERTAIN_FROM = 0.995
"""Share from which on it is given without a number."""
_ROUNDING = 1e-6


def verdict_of(fits: bool | None, confidence: float | None) -> Verdict | None:
    """Return the verdict on a forecast; None where no card was named.

    `fits` is the forecast itself; `confidence` the share of comparable measured cases that would fit, None where it is not known.
    """
    if fits is None:
        return None
    agreeing = _agreeing(fits, confidence)
    if agreeing is not None and agreeing < CALLED_FROM:
        return "too close to call"
    return "fits" if fits else "does not fit"


def verdict_words(fits: bool | None, confidence: float | None) -> str:
    """Return `fits`, `fits with 97 % confidence`, `too close to call`, `does not fit with 97 % confidence` or `does not fit`; `-` without a card."""
    found = verdict_of(fits, confidence)
    agreeing = None if fits is None else _agreeing(fits, confidence)
    if found is None or found == "too close to call" or agreeing is None or agreeing >= CERTAIN_FROM:
        return found or "-"
    return f"{found} with {math.floor(100 * agreeing + _ROUNDING)} % confidence"


def _agreeing(fits: bool, confidence: float | None) -> float | None:
    """Return the share of comparable cases that would have ended like the forecast; None where it is not known."""
    return confidence if fits or confidence is None else 1 - confidence
