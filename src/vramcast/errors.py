"""Every error vramcast raises on purpose, and the exit code each one means.

    VramcastError                       3
    ├── UsageError                      2   the request itself is wrong
    │   ├── UnknownNameError            2   a name nothing answers to (model, card, optimizer, field …)
    │   ├── AmbiguousNameError          2   a name several things answer to
    │   ├── MissingExtraError           2   an optional package is not installed
    │   ├── WorkloadError               2   a field's value, or two fields that exclude each other
    │   ├── InvalidFileError            2   a file that cannot be read as what it should be
    │   └── OutputError                 2   a path that cannot be written
    └── ForecastError                   3   the request is fine, the forecast did not come about
        ├── ModelError                  3   the user's module or callable failed
        └── UntraceableError            3   an operator that cannot be followed without a GPU
            └── TooLargeError           3   a workload that is too large to be followed

A message says what was given, what is legal, and the way out.
"Does not fit" is an answer, never an exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_FITS = 0
EXIT_DOES_NOT_FIT = 1
EXIT_WORSENED = 1
"""`vramcast validate --baseline`: errors are larger than the baseline allows."""
EXIT_BROKEN_LAW = 1
"""`vramcast validate`, `vramcast diff`: the allocator's simulation does not reserve what a real run reserved for the same requests."""
EXIT_USAGE = 2
EXIT_NO_FORECAST = 3
EXIT_INTERRUPTED = 130


class VramcastError(Exception):
    """Root of the tree."""

    exit_code = EXIT_NO_FORECAST


class UsageError(VramcastError):
    """The request is wrong: a name, a value, a file."""

    exit_code = EXIT_USAGE


class UnknownNameError(UsageError):
    """Nothing answers to this name.

    `kind` is what was looked for ("model", "card", "optimizer"), `known` what there is;
    the message lists the closest names, or all of them when they are few.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name = kind, name
        self.closest = closest_names(name, known)
        parts = [f"no {kind} is called {name!r}."]
        if self.closest:
            parts.append(f"Closest: {', '.join(self.closest)}.")
        if hint:
            parts.append(hint)
        super().__init__(" ".join(parts))


class AmbiguousNameError(UsageError):
    """Several things answer to this name; the message lists them."""

    def __init__(self, kind: str, name: str, candidates: Iterable[str]) -> None:
        self.kind, self.name, self.candidates = kind, name, tuple(candidates)
        super().__init__(f"several {kind}s are called {name!r}: {', '.join(self.candidates)}. Name one of them in full.")


class MissingExtraError(UsageError):
    """An optional package is needed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{purpose} needs {package}, which is not installed. Install it with: pip install 'vramcast[{extra}]'")


class WorkloadError(UsageError):
    """A field of the workload has an illegal value, or two fields exclude each other."""


class InvalidFileError(UsageError):
    """A file cannot be read as what it should be."""


class OutputError(UsageError):
    """A path cannot be written; nothing half-written is left there."""


class ForecastError(VramcastError):
    """The request was fine, but no forecast came about."""


class ModelError(ForecastError):
    """The user's module or callable raised; carries the module's FQN and the input shapes."""


class UntraceableError(ForecastError):
    """An operator cannot be followed on meta tensors; names operator, module and the way out."""


class TooLargeError(UntraceableError):
    """The workload is too large to be traced; the message says what it would take."""


def closest_names(name: str, known: Iterable[str], most: int = 6) -> tuple[str, ...]:
    """Return up to `most` of `known` that resemble `name`; all of them when there are few."""
    names = sorted(set(known))
    if len(names) <= most:
        return tuple(names)
    lowered = {candidate.lower(): candidate for candidate in names}
    inside = [candidate for lower, candidate in lowered.items() if name.lower() in lower][:most]
    near = difflib.get_close_matches(name.lower(), lowered, n=most, cutoff=0.5)
    return tuple(dict.fromkeys([lowered[match] for match in near] + inside))[:most]
