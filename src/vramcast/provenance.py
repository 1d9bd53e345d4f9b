"""What a forecast follows from beside its request: vramcast's own code and data, and the packages models come from."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import vramcast

_WITHOUT_EFFECT = {
    "advice", "calibration", "cli", "comparison", "measuring", "reports", "schemas", "solvers", "study", "validation",
    "__init__.py", "provenance.py", "record_store.py", "worker_pool.py",
}  # fmt: skip
"""Rooms and files that no figure of a forecast depends on; ranges are none of the figures."""
_PACKAGES = ("torch", "torchvision", "timm", "transformers", "ultralytics")


def packages() -> dict[str, str]:
    """Return the versions of the packages models come from; those not installed are absent."""
    return {name: version for name in _PACKAGES if (version := _version(name))}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def digest_of(*parts: bytes, left_out: frozenset[str] = frozenset()) -> str:
    """Return a digest of parts, of vramcast's code and of the packages' versions: where it is the same, so is the forecast.

    `left_out` names further rooms and files that do not count.
    """
    digest = hashlib.sha256()
    for part in (*parts, _code_digest(left_out).encode(), _packages_text()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


@functools.cache
def _packages_text() -> bytes:
    return repr(packages()).encode()


@functools.cache
def _code_digest(left_out: frozenset[str]) -> str:
    digest = hashlib.sha256()
    for path in _files(Path(vramcast.__file__).parent, _WITHOUT_EFFECT | left_out):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(package: Path, left_out: frozenset[str] | set[str]) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".toml") and path.relative_to(package).parts[0] not in left_out:
            yield path
