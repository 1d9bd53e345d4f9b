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
from vramcast.validation.case import Case, CaseSet

_WITHOUT_EFFECT = {"advice", "calibration", "cli", "comparison", "measuring", "reports", "solvers", "study", "validation"}
"""Rooms that no figure of a forecast depends on, but for a set's own way of forecasting; ranges are none of the figures."""
_PACKAGES = ("torch", "torchvision", "timm", "transformers", "ultralytics")


def fingerprint(case_set: CaseSet, case: Case) -> str:
    """Return a digest of all a forecast follows from: what is run, vramcast's code and data, and the packages models come from.

    What was measured is no part of it, so that a table may be corrected and nothing is forecast anew.
    """
    program = Path(inspect.getfile(case_set.forecast)).read_bytes()
    digest = hashlib.sha256()
    for part in (msgspec.json.encode((case.model, case.workload, case.gpu, case.card)), program, _code_digest().encode(), repr(packages()).encode()):
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
def _code_digest() -> str:
    digest = hashlib.sha256()
    for path in _files(Path(vramcast.__file__).parent):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(package: Path) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".toml") and path.relative_to(package).parts[0] not in _WITHOUT_EFFECT:
            yield path
