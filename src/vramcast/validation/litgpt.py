"""Fine-tuning with LitGPT, from its resource tables and configuration hub: adapters on one card, beside plain and packed weights.

LitGPT's models are its own code. Its runs are forecast with transformers' models of the same sizes, whose projections are not fused and whose
loss is not taken in chunks; `known_reasons.toml` says what that and LitGPT's own packing change. Read in LitGPT at 26857050 (`finetune/lora.py`,
`lora.py`, `config_hub/finetune/`): adapters in the base's type, dropout of 0.05, AdamW, gradients cleared after each step; and in its tables that
the longest sample comes first, so that it sets the peak.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.figures import AS_USER, Figures, Forecaster
from vramcast.validation.table import environment_of, measured_bytes, rows, sorted_out
from vramcast.workload import Workload

_BUNDLED = {"Llama 2 7 B": "llama-2-7b", "llama-2-7b": "llama-2-7b", "mistral-7b": "mistral-7b-v0.1"}
_OWN = ("tiny-llama", "phi-2", "Phi-3-mini-4k-instruct", "gemma-2-9b", "stablelm-base-alpha-3b", "falcon-7b")
"""Models whose sizes lie beside the figures."""
_ALL_LINEAR = {
    "tiny-llama": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"),
    "gemma-2-9b": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"),
    "phi-2": ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2", "lm_head"),
    "Phi-3-mini-4k-instruct": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head"),
}
_TABLE_RANK, _TABLE_BATCH, _DROPOUT = 8, 128, 0.05
"""What `finetune/lora.py` sets in October 2023, and the hub's files of 2024 too, as far as the rows do not say otherwise."""
_FORMATS = {"bnb.nf4-dq": "int4-nf4-double", "bnb.nf4": "int4-nf4"}


class LitGpt(CaseSet):
    """The most that torch's allocator gave out, `max_memory_allocated`."""

    name = "litgpt"
    citation = "Lightning-AI/litgpt, tutorials and config_hub; each row of litgpt.csv names its file and commit (Apache-2.0)"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Adapters of other kinds, full fine-tuning, several cards and LitGPT's own generation are not expressed."""
        return sorted_out(rows(folder, "litgpt.csv"), _reason_against, _case)

    def forecast(self, case: Case, by: Forecaster = AS_USER) -> Figures:
        """Forecast from the configuration that lies beside the figures, where none comes along by name."""
        name = case.model.partition(":")[2]
        path = resources.files("vramcast.validation").joinpath("measured", "architectures", f"{name}.json")
        return by.of_model(f"transformers:{path}" if name in _OWN else case.model, case.workload, case.gpu)


def _reason_against(row: dict[str, str]) -> str:
    if "OOM" in row["value"]:
        return "the run ran out of memory: no figure"
    if row["task"] == "infer":
        return "generation by LitGPT's own model code, whose key-value cache is sized for prompt and new tokens"
    if re.match(r"[2-9]", row["gpu"]):
        return "several cards, or sharded over them (FSDP)"
    if "Adapter" in row["extra"]:
        return "adapters of LLaMA-Adapter's kind are no workload option"
    if "NOT found" in row["notes"]:
        return "the rank of the adapters is not stated"
    if _rank(row) is None:
        return "full fine-tuning by LitGPT's own model code, which is no source of models; the longest batch is not stated"
    if row["model"] == "falcon-7b" and _weights(row):
        return "transformers packs plain linear layers alone, and Falcon's are of a class of their own"
    return ""


def _rank(row: dict[str, str]) -> int | None:
    """Return the rank of the adapters; None where there are none."""
    stated = re.search(r"lora_r=(\d+)", row["extra"])
    if stated is not None:
        return int(stated[1])
    return _TABLE_RANK if "with LoRA" in row["extra"] else None


def _weights(row: dict[str, str]) -> str | None:
    return next((packed for name, packed in _FORMATS.items() if name in row["precision"]), None)


def _target(row: dict[str, str]) -> tuple[str, ...]:
    """Return the layers with adapters: peft's own choice stands for queries and values, as LitGPT trains by default."""
    return _ALL_LINEAR[row["model"]] if "head=true/true" in row["extra"] else ()


def _case(row: dict[str, str]) -> Case:
    batch = int(row["batch_per_gpu"])
    length = re.search(r"(?:longest example|max_seq_length) (\d+)", row["image_or_seq"])
    together = re.search(r"global_batch_size=(\d+)", row["extra"])
    assert length is not None
    fields: dict[str, Any] = {
        "batch": batch,
        "seq": int(length[1]),
        "precision": "bf16",
        "weights": _weights(row),
        "lora": {"rank": _rank(row), "target": _target(row), "dropout": _DROPOUT, "dtype": "module"},
        "optimizer": "adamw",
        "accumulate": (int(together[1]) if together else _TABLE_BATCH) // batch,
        "zero_grad": "after-step",
        "habits": {"packed_input": "kept"},
        "environment": {"torch": row["torch_version"].partition("+")[0] or "2.2"},
    }
    model = f"transformers:{_BUNDLED.get(row['model'], row['model'])}"
    return Case(
        id=row["id"], model=model, workload=Workload.train(**fields), gpu="A100 40GB" if "A100" in row["gpu"] else "A10G",
        metric="allocated", measured_bytes=measured_bytes(row), group=model,
        environment=environment_of(row, is_assumed=not row["torch_version"], trainer="LitGPT"),
    )  # fmt: skip
