"""The table of sets. A set is one class and one line here."""

from __future__ import annotations

from vramcast.errors import UnknownNameError
from vramcast.validation.case import CaseSet
from vramcast.validation.gpumemnet import RealModelsOnA100, TimmOnA100
from vramcast.validation.llm_inference import LanguageModelDevice, LanguageModelInference
from vramcast.validation.ultralytics_logs import UltralyticsLogs

SETS: dict[str, CaseSet] = {
    case_set.name: case_set for case_set in (TimmOnA100(), RealModelsOnA100(), UltralyticsLogs(), LanguageModelInference(), LanguageModelDevice())
}


def find(name: str) -> CaseSet:
    """Return a set by name. Raises `UnknownNameError`."""
    if name not in SETS:
        raise UnknownNameError("set of measured cases", name, SETS)
    return SETS[name]
