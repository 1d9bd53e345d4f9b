"""BERT-large under transformers' Trainer on a V100-16GB, from the library's guide to training on one GPU (January 2022)."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

from vramcast.units import MIB
from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.figures import AS_USER, Figures, Forecaster
from vramcast.validation.table import environment_of, measured_bytes, rows
from vramcast.workload import Workload

_PAGE = "docs/source/en/perf_train_gpu_one.mdx"
_BARE_CONTEXT = 1343 * MIB - 2 * MIB
"""The guide's own reading of a process with one small tensor in a segment of 2 MiB (CTX-0009 of cuda_context.csv)."""
_OPTIMIZERS = {"AdamW (HF)": "adamw", "Adafactor": "adafactor", "bnb Adam8bit": "adam8bit"}
_MODEL = "bert-large-uncased"


class TransformersTrainer(CaseSet):
    """Device memory less what the same guide reads of a bare process, which leaves what torch's allocator reserved.

    The Trainer of then clips gradients, groups parameters by decay, and zeroes gradients in place (`Module.zero_grad`, torch 1.10); attention
    was written out. AdamW was the library's own loop over tensors; its Adafactor is taken to be torch's.
    """

    name = "transformers-trainer"
    citation = f"huggingface/transformers, commit 0016acf7ef421c7fe8eff7945de52c71896c3b01, {_PAGE} (Apache-2.0)"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """The row of a model that was only loaded is not expressed: there is no workload without a pass."""
        cases, unexpressed = [], []
        for row in documented(folder):
            if row["task"] == "train":
                cases.append(_case(row))
            else:
                unexpressed.append(Unexpressed(row["id"], "the model was only loaded; a workload has at least one pass"))
        return cases, unexpressed

    def forecast(self, case: Case, by: Forecaster = AS_USER) -> Figures:
        """Forecast from the model's configuration, which lies beside the figures."""
        folder = resources.files("vramcast.validation").joinpath("measured", _MODEL)
        return by.of_model(f"transformers:{folder}", case.workload, case.gpu)


def documented(folder: str | None) -> list[dict[str, str]]:
    """Return the guide's rows."""
    return [row for row in rows(folder, "llm_diffusion.csv") if row["source"].endswith(_PAGE)]


def _case(row: dict[str, str]) -> Case:
    return Case(
        id=row["id"],
        model=f"transformers:{_MODEL}",
        workload=_workload(row),
        gpu="V100 16GB",
        metric="reserved",
        measured_bytes=measured_bytes(row) - _BARE_CONTEXT,
        group=_MODEL,
        environment=environment_of(row),
    )


def _workload(row: dict[str, str]) -> Workload:
    optimizer = _OPTIMIZERS[row["optimizer"]]
    accumulated = re.search(r"grad_accum (\d+)", row["extra"])
    fields: dict[str, Any] = {
        "batch": int(row["batch_per_gpu"]),
        "seq": int(row["image_or_seq"]),
        "precision": row["precision"],
        "optimizer": optimizer,
        "optimizer_loop": "for-loop" if optimizer == "adamw" else "default",
        "accumulate": int(accumulated[1]) if accumulated else 1,
        "checkpointing": "gradient_checkpointing" in row["extra"],
        "clip_grad": True,
        "zero_grad": "after-step",
        "set_to_none": False,
        "habits": {"parameter_groups": "no-decay-1d"},
    }
    return Workload.train(**fields)
