"""Fine-tuning and generation with LitGPT, from its resource tables and configuration hub."""

from __future__ import annotations

from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.table import rows


class LitGpt(CaseSet):
    """Nothing of it can be expressed yet: LitGPT's models are its own code, and most runs train adapters or quantised weights."""

    name = "litgpt"
    citation = "Lightning-AI/litgpt, tutorials and config_hub; each row of litgpt.csv names its file and commit (Apache-2.0)"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Return every row with the reason that stands first against it."""
        return [], [Unexpressed(row["id"], _reason_against(row)) for row in rows(folder, "litgpt.csv")]


def _reason_against(row: dict[str, str]) -> str:
    if "OOM" in row["value"]:
        return "the run ran out of memory: no figure"
    if "bnb." in row["precision"] or "bnb." in row["extra"]:
        return "LitGPT's own model code, whose layers bitsandbytes packs, is no source of models"
    if any(mark in row["extra"] for mark in ("LoRA", "Adapter", "lora.yaml")):
        return "adapters (LoRA, Adapter) are no workload option"
    if row["task"] == "infer":
        return "generation by LitGPT's own model code, whose key-value cache is sized for prompt and new tokens"
    if row["gpu"].startswith("4x"):
        return "sharded over several cards (FSDP)"
    return "full fine-tuning by LitGPT's own model code, which is no source of models; the longest batch is not stated"
