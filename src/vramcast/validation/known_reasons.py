"""Why a forecast is off, where that is known: `known_reasons.toml`, written by hand after looking at the cases."""

from __future__ import annotations

import functools
import re
from importlib import resources

import msgspec

from vramcast.validation.gpumemnet import SAME_FIGURE
from vramcast.validation.outcome import Outcome


class KnownReason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What explains the errors of some cases of a set."""

    case_set: str
    model: str
    """Pattern (`re.search`) of the full model names."""
    because: str
    id: str = ""
    """Pattern of the ids; empty for every case of these models."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: tuple[KnownReason, ...]


def reason(outcome: Outcome) -> str:
    """Return what is known of a case that explains its error; says so where nothing is."""
    case = outcome.case
    known = [item.because for item in _reasons() if item.case_set == outcome.case_set and _is_of(item, case.id, case.model)]
    if known:
        return known[0]
    if case.environment.notes == SAME_FIGURE:
        return SAME_FIGURE
    if "unstable" in case.environment.notes:
        return "the log itself is unstable: its largest figure is more than 1.25 times its median"
    return "the set-up is assumed, not stated upstream" if case.environment.is_assumed else "not known"


def _is_of(item: KnownReason, case_id: str, model: str) -> bool:
    return re.search(item.model, model) is not None and re.search(item.id, case_id) is not None


@functools.cache
def _reasons() -> tuple[KnownReason, ...]:
    text = resources.files("vramcast.validation").joinpath("known_reasons.toml").read_bytes()
    return msgspec.toml.decode(text, type=_Table).reason
