"""What processes held on a card that had done next to nothing: the CUDA context and the first kernels."""

from __future__ import annotations

import re

from vramcast.gpu.catalogue import find
from vramcast.gpu.context import context_bytes
from vramcast.units import MIB
from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.figures import AS_USER, Figures, Forecaster
from vramcast.validation.table import environment_of, measured_bytes, rows, sorted_out
from vramcast.workload import Workload

_CARDS = {"?": "", "RTX 3090": "RTX 3090", "RTX 6000 Ada": "RTX 6000 Ada"}
_LAZY = re.compile(r"(1\.13|2\.)")
_SEGMENTS = {"CTX-0001": 20 * MIB}
"""What torch's allocator had reserved within the reading, as the row's notes say."""


class CudaContext(CaseSet):
    """Readings of torch processes that load kernels lazily (torch 1.13 and CUDA 11.7, and later); `gpu` is empty where no card is named.

    They had run one kernel, or none. `gpu/context.py` forecasts a process that has trained, so its figure should lie above these.
    """

    name = "cuda-context"
    citation = "public issues and documentation; each row of cuda_context.csv names its own"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Readings of other processes than torch's, of kernels loaded eagerly, and of which only a span is stated are not expressed."""
        return sorted_out(rows(folder, "cuda_context.csv"), _reason_against, _case)

    def forecast(self, case: Case, by: Forecaster = AS_USER) -> Figures:
        """Take the context's model alone."""
        card = find(case.gpu) if case.gpu else None
        return Figures(allocated_bytes=0, reserved_bytes=0, context_bytes=context_bytes(card).typical)


def _reason_against(row: dict[str, str]) -> str:
    if "TensorRT" in row["torch_version"] or "TRT" in row["torch_version"] or "PyCuda" in row["torch_version"]:
        return "no torch process"
    if not _LAZY.match(row["torch_version"]) or "DEFAULT (eager)" in row["notes"]:
        return "kernels were loaded eagerly (before CUDA 11.7 and torch 1.13, or on request); the context's model is of lazy loading"
    return "" if row["gpu"] in _CARDS else f"unknown card {row['gpu']!r}"


def _case(row: dict[str, str]) -> Case:
    card = _CARDS[row["gpu"]]
    plain = row | {"value": row["value"].lstrip("~")}
    return Case(
        id=row["id"], model="context", workload=Workload.infer(), gpu=card, metric="device",
        measured_bytes=measured_bytes(plain) - _SEGMENTS.get(row["id"], 0), group=card or "no card named", environment=environment_of(row),
    )  # fmt: skip
