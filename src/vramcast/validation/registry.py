"""The table of sets. A set is one class and one line here."""

from __future__ import annotations

from vramcast.errors import UnknownNameError
from vramcast.validation.autobatch import AutoBatch
from vramcast.validation.case import CaseSet
from vramcast.validation.cuda_context import CudaContext
from vramcast.validation.documentation import LargeModelDocumentation
from vramcast.validation.gpumemnet import RealModelsOnA100, TimmOnA100
from vramcast.validation.litgpt import LitGpt
from vramcast.validation.llm_inference import LanguageModelDevice, LanguageModelInference
from vramcast.validation.own_measurements import OwnMeasurements
from vramcast.validation.peft import PeftOnL40S
from vramcast.validation.tensorrt_logs import TensorRtLogs
from vramcast.validation.transformers_trainer import TransformersTrainer
from vramcast.validation.ultralytics_logs import UltralyticsLogs

SETS: dict[str, CaseSet] = {
    case_set.name: case_set
    for case_set in (
        TimmOnA100(), RealModelsOnA100(), UltralyticsLogs(), AutoBatch(), TransformersTrainer(), CudaContext(), LitGpt(), PeftOnL40S(),
        LargeModelDocumentation(), TensorRtLogs(), LanguageModelInference(), LanguageModelDevice(), OwnMeasurements(),
    )
}  # fmt: skip


def find(name: str) -> CaseSet:
    """Return a set by name. Raises `UnknownNameError`."""
    if name not in SETS:
        raise UnknownNameError("set of measured cases", name, SETS, hint=f"Legal: {', '.join(SETS)}.")
    return SETS[name]
