"""Adapters in the place of a whole language model: neither gradients nor optimizer states of its weights, which may be packed then."""

from __future__ import annotations

from vramcast.advice.lever import TRAINING_ONLY, Change, Lever, Situation
from vramcast.lora_options import ALL_LINEAR, Lora
from vramcast.weight_formats import WeightFormat

_LANGUAGE = ("causal-lm", "masked-lm", "seq2seq-lm")
_RANK = 16
_PACKED = "int4-nf4-double"
"""As the authors of QLoRA pack it (arXiv 2305.14314): NF4, its maxima quantised again."""
_ADAPTERS = Lora(rank=_RANK, target=(ALL_LINEAR,))
"""On all linear layers, as the same authors advise (section 4)."""
_CODE = f'model = peft.get_peft_model(model, peft.LoraConfig(r={_RANK}, target_modules="{ALL_LINEAR}"))'
_OPTIONS = f"--lora {_RANK} --lora-target {ALL_LINEAR}"


def _reason_against(situation: Situation) -> str:
    if not situation.workload.is_training:
        return TRAINING_ONLY
    if situation.model is None:
        return "a number of parameters has no layers"
    return "" if situation.model.task in _LANGUAGE else "adapters are for language models, and this one is none"


def _lora(situation: Situation) -> tuple[Change, ...] | str:
    workload, reason = situation.workload, _reason_against(situation)
    if reason or workload.lora is not None:
        return reason or "adapters are trained already"
    return (Change("LoRA", workload.with_fields(lora=_ADAPTERS, freeze=()), _CODE, _OPTIONS),)


def _qlora(situation: Situation) -> tuple[Change, ...] | str:
    workload, model, reason = situation.workload, situation.model, _reason_against(situation)
    given = workload.weights or (model.weights if model else None)
    if reason or given is not None:
        return reason or f"weights are packed already, as {WeightFormat.parse(str(given)).name}"
    code, options = f'BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True); {_CODE}', _OPTIONS
    if workload.lora is not None:
        code, options = code.partition("; ")[0], ""
    changed = workload.with_fields(lora=workload.lora or _ADAPTERS, freeze=(), weights=_PACKED)
    return (Change("QLoRA", changed, code, f"{options} --weights {_PACKED}".strip()),)


LORA = Lever(
    "frozen", "LoRA in the place of full fine-tuning",
    computation="", risk="changes of a low rank are learned, and no others", effort="another package, peft", changes=_lora,
)  # fmt: skip
QLORA = Lever(
    "frozen", "QLoRA: adapters beside packed weights", computation="weights are unpacked for each product, in both passes",
    risk="weights are rounded to 4 bits, and changes are of a low rank", effort="two packages, peft and bitsandbytes", changes=_qlora,
)  # fmt: skip
