"""When a forecast made earlier is still the forecast that would be made now."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import msgspec

import vramcast
from vramcast.gpu.spec import GpuSpec
from vramcast.validation.case import Case, CaseSet
from vramcast.workload import Workload

_WITHOUT_EFFECT = {"advice", "calibration", "cli", "comparison", "measuring", "reports", "solvers", "study", "validation"}
"""Rooms that no figure of a forecast depends on, but for a set's own way of forecasting; ranges are none of the figures."""
_AFTER_TRACING = {"allocator", "answer.py", "breakdown.py", "confidence.py", "pipeline.py", "served.py", "verdict.py", "workspace"}
"""Rooms that no trace depends on before scratch is inserted."""
_PACKAGES = ("torch", "torchvision", "timm", "transformers", "ultralytics")


def fingerprint(case_set: CaseSet, case: Case) -> str:
    """Return a digest of all a forecast follows from: what is run, vramcast's code and data, and the packages models come from.

    What was measured is no part of it, so that a table may be corrected and nothing is forecast anew.
    """
    program = Path(inspect.getfile(case_set.forecast)).read_bytes()
    return _digest(msgspec.json.encode((case.model, case.workload, case.gpu, case.card)), program, _code_digest().encode())


def trace_fingerprint(case_set: CaseSet, model: str, workload: Workload, gpu: str | GpuSpec) -> str:
    """Return a digest of all a trace without scratch follows from: as `fingerprint`, but for what is done with traces afterwards."""
    program = Path(inspect.getfile(case_set.forecast)).read_bytes()
    return _digest(msgspec.json.encode((model, workload, gpu)), program, _code_digest(frozenset(_AFTER_TRACING)).encode())


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in (*parts, _packages_text()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def packages() -> dict[str, str]:
    """Return the versions of the packages models come from; those not installed are absent."""
    return {name: version for name in _PACKAGES if (version := _version(name))}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@functools.cache
def _packages_text() -> bytes:
    return repr(packages()).encode()


@functools.cache
def _code_digest(left_out: frozenset[str] = frozenset()) -> str:
    digest = hashlib.sha256()
    for path in _files(Path(vramcast.__file__).parent, _WITHOUT_EFFECT | left_out):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(package: Path, left_out: set[str]) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".toml") and path.relative_to(package).parts[0] not in left_out:
            yield path
