"""Methods of parameter-efficient fine-tuning on an L40S, from PEFT's comparison of methods."""

from __future__ import annotations

from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.table import rows


class PeftOnL40S(CaseSet):
    """Nothing of it can be expressed yet: adapters on Llama-3.2-3B and on a diffusion transformer."""

    name = "peft-l40s"
    citation = "huggingface/peft, commit 5d602fdbff04c33c1c4de55cda9d4ae1d7cb7e40, method_comparison/ (Apache-2.0)"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Return every row with the reason that stands first against it."""
        return [], [Unexpressed(row["id"], _reason_against(row)) for row in rows(folder, "peft_l40s.csv")]


def _reason_against(row: dict[str, str]) -> str:
    if row["framework"].startswith("diffusers"):
        return "a diffusion transformer with its autoencoder and text encoder is no source of models"
    if row["metric"].startswith("mean"):
        return "the mean over steps of what was reserved; forecasts are of peaks"
    return "adapters are no workload option; batches are padded to their longest sample, whose length is not stated"
