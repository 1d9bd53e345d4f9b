"""The `Environment`: the software stack a workload runs on, as far as memory depends on it.

What changed between versions of torch, and where each change was read, stands with the rule that asks: cuBLAS's workspaces
(`workspace/cublas.py`), the choice of attention kernels (`tracing/cuda/attention_choice.py`), the CUDA context (`gpu/context.py`),
and below for a training loop's defaults.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from vramcast.errors import WorkloadError

ModuleLoading = Literal["lazy", "eager"]
Version = tuple[int, int]

NEWEST_TORCH = "2.13"
NEWEST_VERSION: Version = (2, 13)
"""The version whose rules hold where nothing else is said."""
OLDEST_KNOWN: Version = (1, 8)
NEWEST_KNOWN: Version = (2, 15)
_LAZY_SINCE: Version = (1, 13)
"""torch sets `CUDA_MODULE_LOADING=LAZY` (torch/cuda/__init__.py, pull request 86509)."""
_CUDA_LAZY_SINCE: Version = (11, 7)
"""CUDA can load lazily (CUDA programming guide, "Lazy Loading")."""
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})(?:$|[.+a-z])")
_SET_TO_NONE_SINCE: Version = (2, 0)
"""`zero_grad(set_to_none=True)` is the default (release notes of torch 2.0)."""
_FOREACH_SINCE: Version = (2, 0)
"""Optimizers take their foreach version on CUDA by themselves (release notes of torch 2.0)."""


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Versions and switches outside the model and its training loop."""

    torch: str = NEWEST_TORCH
    """`2.1`, or as `torch.__version__` has it: `2.1.0+cu121`; what follows the second number does not count."""
    cuda: str | None = None
    """Version of CUDA that torch was built for, such as `11.6`; None: what is usual for that torch."""
    module_loading: ModuleLoading | None = None
    """When kernels are loaded (`CUDA_MODULE_LOADING`); None: lazily from torch 1.13 with CUDA 11.7 on, eagerly before."""
    deterministic: bool = False
    """`torch.backends.cudnn.deterministic` and `torch.use_deterministic_algorithms`: other kernels, some with more scratch."""
    cublas_workspace: str | None = None
    """`CUBLAS_WORKSPACE_CONFIG`, such as `:4096:8`; None: not set."""
    cudnn_tf32: bool = True
    """`torch.backends.cudnn.allow_tf32`: on by default, so that fp32 convolutions run on tensor cores from Ampere on."""

    def __post_init__(self) -> None:
        if not OLDEST_KNOWN <= self.torch_version <= NEWEST_KNOWN:
            raise WorkloadError(f"environment.torch is {self.torch!r}; known are {_text(OLDEST_KNOWN)} to {_text(NEWEST_KNOWN)}.")
        if self.cuda is not None:
            _version("cuda", self.cuda, "12.1")
        if self.cublas_workspace is not None:
            cublas_workspace_bytes(self.cublas_workspace)

    @property
    def torch_version(self) -> Version:
        """Major and minor number of torch.

        Raises:
            WorkloadError: `torch` is no version.
        """
        return _version("torch", self.torch, "2.1 or 2.1.0+cu121")

    @property
    def loads_eagerly(self) -> bool:
        """Whether every kernel of a library is loaded with it."""
        if self.module_loading is not None:
            return self.module_loading == "eager"
        return self.torch_version < _LAZY_SINCE or (self.cuda is not None and _version("cuda", self.cuda, "12.1") < _CUDA_LAZY_SINCE)

    @property
    def default_set_to_none(self) -> bool:
        """What `zero_grad()` does unless told otherwise."""
        return self.torch_version >= _SET_TO_NONE_SINCE

    @property
    def default_is_foreach(self) -> bool:
        """Whether optimizers step all tensors at once on CUDA unless told otherwise."""
        return self.torch_version >= _FOREACH_SINCE


def cublas_workspace_bytes(config: str) -> int:
    """Return the bytes that `CUBLAS_WORKSPACE_CONFIG` asks for: the sum of `:SIZE_KIB:COUNT` pairs (cuBLAS documentation, "Results Reproducibility").

    Raises:
        WorkloadError: the text has another form.
    """
    if re.fullmatch(r"(?::\d{1,9}:\d{1,6})+", config) is None:
        raise WorkloadError(f"environment.cublas_workspace is {config!r}; it must be pairs of KiB and count such as :4096:8.")
    numbers = [int(number) for number in config[1:].split(":")]
    return sum(size * count for size, count in zip(numbers[::2], numbers[1::2])) * 1024


def _version(field: str, text: str, example: str) -> Version:
    match = _VERSION.match(text)
    if match is None:
        raise WorkloadError(f"environment.{field} is {text!r}; it must be a version such as {example}.")
    return int(match[1]), int(match[2])


def _text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
