"""Figures of large language and diffusion models from the documentation of their projects."""

from __future__ import annotations

from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.table import rows
from vramcast.validation.transformers_trainer import documented


class LargeModelDocumentation(CaseSet):
    """Nothing of it can be expressed yet: models spread over several cards, training through GPTQ, diffusion pipelines, set-ups not stated."""

    name = "llm-diffusion"
    citation = "documentation of torchtitan, torchao, Qwen, PEFT and diffusers; each row of llm_diffusion.csv names its file and commit"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """The rows of the Trainer's guide are a set of their own and not repeated here."""
        elsewhere = {row["id"] for row in documented(folder)}
        return [], [Unexpressed(row["id"], _reason_against(row)) for row in rows(folder, "llm_diffusion.csv") if row["id"] not in elsewhere]


def _reason_against(row: dict[str, str]) -> str:
    framework, extra = row["framework"], row["extra"]
    if framework.startswith("torchtitan"):
        return "sharded over several cards (FSDP2)"
    if "diffusers" in framework:
        return "diffusion pipelines and their models are no source of models"
    if "gpt-fast" in framework:
        return "generation with a key-value cache by a project's own model code (gpt-fast), reading of the reserved memory not dated"
    if "Zero3" in extra:
        return "sharded over several cards (DeepSpeed ZeRO-3)"
    if "Q-LoRA" in extra:
        return "trained through GPTQ's layers by AutoGPTQ's kernels of 2023, which are not forecast; Qwen's model code of then is its own"
    if "LoRA" in extra or "full finetuning" in extra:
        return "batch, precision and length of sequences are not stated"
    return "batch and shapes are not stated, and the card is not NVIDIA's" if row["gpu"].startswith("AMD") else "the set-up is not stated"
