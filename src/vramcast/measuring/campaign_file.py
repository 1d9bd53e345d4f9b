"""Campaigns: lists of cases, as TOML.

[[group]]
models = ["torchvision:resnet50", "timm:convnext_tiny"]
workload = { mode = "train", image = 224, environment = { cudnn_tf32 = false } }    # fields of a workload, as in a workload file
vary = { batch = [8, 32], precision = ["fp32", "amp-fp16"] }    # each combination is a case

[[kernels]]
kinds = ["convolution", "attention"]                # single kernels, see `micro/`

A case's name holds a hash of all that defines it, so that a file that is changed measures anew what was changed and nothing else.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from vramcast.errors import InvalidFileError, UnknownNameError
from vramcast.workload import Workload, make

BUILT_IN = ("standard", "smoke")
"""Campaigns that come with vramcast, by name."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One program to be measured."""

    id: str
    model: str
    workload: Workload


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured, in order."""

    name: str
    cases: tuple[Case, ...]
    kernels: tuple[str, ...] = ()
    """Kinds of kernels measured one by one."""


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: tuple[str, ...]
    workload: dict[str, Any] = {}
    vary: dict[str, list[Any]] = {}


class _Kernels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kinds: tuple[str, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    group: tuple[_Group, ...] = ()
    kernels: tuple[_Kernels, ...] = ()


def read_campaign(name: str) -> Campaign:
    """Read a campaign: one that comes with vramcast, by name, or a file.

    Raises:
        UnknownNameError: neither.
        InvalidFileError: a file that is no campaign.
        WorkloadError: a workload in it is illegal.
    """
    path = Path(name)
    if name in BUILT_IN:
        text = resources.files("vramcast.measuring").joinpath("campaigns", f"{name}.toml").read_bytes()
    elif path.is_file():
        text = path.read_bytes()
    else:
        raise UnknownNameError("campaign", name, BUILT_IN, hint="Name one of these, or a TOML file.")
    try:
        file = msgspec.toml.decode(text, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidFileError(f"campaign {name!r} cannot be read: {error}.") from error
    cases = {case.id: case for group in file.group for case in _cases(group)}
    return Campaign(name=path.stem, cases=tuple(cases.values()), kernels=tuple(kind for part in file.kernels for kind in part.kinds))


def _cases(group: _Group) -> Iterator[Case]:
    for values in itertools.product(*group.vary.values()):
        workload = make(group.workload | dict(zip(group.vary, values)))
        for model in group.models:
            yield Case(id=case_id(model, workload), model=model, workload=workload)


def case_id(model: str, workload: Workload) -> str:
    """Name a case: what is most telling of it, and a hash of all of it."""
    defining = msgspec.json.encode([model, workload])
    plain = re.sub(r"[^\w.]+", "-", model).strip("-")
    return f"{plain}-{workload.mode}-b{workload.batch}-{workload.precision}-{hashlib.sha256(defining).hexdigest()[:8]}"
