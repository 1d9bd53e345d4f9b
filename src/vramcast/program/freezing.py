"""Parameters that are not trained."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from torch import nn

from vramcast.errors import WorkloadError, closest_names


def freeze(module: nn.Module, patterns: Sequence[str]) -> None:
    """Turn gradients off for every parameter whose name matches a pattern (`layer1.*`) or starts with it (`layer1`).

    Raises:
        WorkloadError: a pattern matches nothing (the message names the closest modules), or nothing is left to train.
    """
    for pattern in patterns:
        matching = [parameter for name, parameter in module.named_parameters() if _matches(name, pattern)]
        if not matching:
            known = [name for name, _ in module.named_modules() if name]
            raise WorkloadError(f"freeze pattern {pattern!r} matches no parameter. Closest modules: {', '.join(closest_names(pattern, known))}.")
        for parameter in matching:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        reason = f"freeze {', '.join(map(repr, patterns))} leaves none" if patterns else f"{type(module).__name__} has none that requires a gradient"
        raise WorkloadError(f"there is no parameter to train: {reason}. Freeze fewer of them, or forecast inference with mode 'infer'.")


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or name == pattern or name.startswith(f"{pattern}.")
