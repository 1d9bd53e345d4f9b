"""Methods of parameter-efficient fine-tuning on an L40S, from PEFT's comparison of methods: its LoRA runs on Llama-3.2-3B.

Read in PEFT at 5d602fdb (`method_comparison/MetaMathQA/run.py`, `utils.py`): batches of 4 are padded to their longest sample; reserved memory is
read after each step, the cache is emptied after every tenth, and the 99th percentile over all steps is stated. How long the samples of such a
step are is not.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.figures import AS_USER, Figures, Forecaster
from vramcast.validation.table import environment_of, measured_bytes, rows, sorted_out
from vramcast.workload import Workload

LENGTH = 596
"""Tokens of the longest sample in a step at the 99th percentile: of 584 to 612 in steps of 4 the forecast closest to the row below, 0.3 % off."""
_LENGTH_IS_FROM = "PEFT-0099"
_MODEL = "Llama-3.2-3B"


class PeftOnL40S(CaseSet):
    """Reserved memory of LoRA on queries and values or on the MLP, bf16 with adapters in fp32."""

    name = "peft-l40s"
    citation = "huggingface/peft, commit 5d602fdbff04c33c1c4de55cda9d4ae1d7cb7e40, method_comparison/ (Apache-2.0)"
    environment = f"the length of the longest samples, {LENGTH} tokens, fitted on {_LENGTH_IS_FROM} (rank 32), which is no case therefore"

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Other methods, means over steps, peaks that evaluation sets and diffusion models are not expressed."""
        return sorted_out(rows(folder, "peft_l40s.csv"), _reason_against, _case)

    def forecast(self, case: Case, by: Forecaster = AS_USER) -> Figures:
        """Forecast from the model's configuration, which lies beside the figures."""
        path = resources.files("vramcast.validation").joinpath("measured", "architectures", f"{_MODEL}.json")
        return by.of_model(f"transformers:{path}", case.workload, case.gpu)


def _reason_against(row: dict[str, str]) -> str:
    if row["framework"].startswith("diffusers"):
        return "a diffusion transformer with its autoencoder and text encoder is no source of models"
    if row["metric"].startswith("mean"):
        return "the mean over steps of what was reserved; forecasts are of peaks"
    if not re.match(r"lora/llama-3\.2-3B-rank\d+(-target-mlp|-rslora)?;", row["extra"]):
        return "adapters of this kind are no workload option: LoRA and DoRA are"
    if row["metric"].startswith("max"):
        return "the peak is that of evaluation, with 50 texts generated at once, whose lengths are not stated"
    return "the length of the longest samples was fitted on it" if row["id"] == _LENGTH_IS_FROM else ""


def _case(row: dict[str, str]) -> Case:
    stated: dict[str, Any] = json.loads(row["extra"].partition("peft=")[2].partition("; num_trainable")[0])
    workload = Workload.train(
        batch=int(row["batch_per_gpu"]),
        seq=LENGTH,
        precision="bf16",
        lora={"rank": stated["r"], "target": stated["target_modules"]},
        optimizer="adamw",
        clip_grad=True,
        environment={"torch": row["torch_version"].partition("+")[0]},
    )
    return Case(
        id=row["id"], model=f"transformers:{_MODEL}", workload=workload, gpu="L40S", metric="reserved", measured_bytes=measured_bytes(row),
        group=_MODEL, environment=environment_of(row),
    )  # fmt: skip
