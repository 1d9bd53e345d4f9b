"""When a forecast made earlier is still the forecast that would be made now."""

from __future__ import annotations

import inspect
from pathlib import Path

import msgspec

from vramcast.gpu.spec import GpuSpec
from vramcast.provenance import digest_of
from vramcast.validation.case import Case, CaseSet
from vramcast.workload import Workload

_AFTER_TRACING = frozenset({"allocator", "answer.py", "breakdown.py", "confidence.py", "pipeline.py", "served.py", "verdict.py", "workspace"})
"""Rooms that no trace depends on before scratch is inserted."""


def fingerprint(case_set: CaseSet, case: Case) -> str:
    """Return a digest of all a forecast follows from: what is run, vramcast's code and data, and the packages models come from.

    What was measured is no part of it, so that a table may be corrected and nothing is forecast anew.
    """
    program = Path(inspect.getfile(case_set.forecast)).read_bytes()
    return digest_of(msgspec.json.encode((case.model, case.workload, case.gpu, case.card)), program)


def trace_fingerprint(case_set: CaseSet, model: str, workload: Workload, gpu: str | GpuSpec) -> str:
    """Return a digest of all a trace without scratch follows from: as `fingerprint`, but for what is done with traces afterwards."""
    program = Path(inspect.getfile(case_set.forecast)).read_bytes()
    return digest_of(msgspec.json.encode((model, workload, gpu)), program, left_out=_AFTER_TRACING)
