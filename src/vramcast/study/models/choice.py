"""Which models a study is of: patterns, and an even spread where they are too many."""

from __future__ import annotations

from collections.abc import Sequence

from vramcast.errors import UnknownNameError, UsageError
from vramcast.sources.registry import listing


def chosen(patterns: Sequence[str], most: int | None = None) -> tuple[str, ...]:
    """Return the full names of the models that any of the patterns matches (none: all that can be built by name), each once.

    `most` leaves at most so many of each source, evenly spread over their names.

    Raises:
        UnknownNameError: a pattern matches nothing.
        UsageError: no source of models is installed.
    """
    everything = listing()
    if not everything.names:
        raise UsageError(f"there is no model to study. {' '.join(map(str, everything.missing))}")
    names: list[str] = []
    for pattern in patterns or ("",):
        found = listing(pattern or None).names
        if not found:
            hint = f"A pattern is fnmatch's ('timm:vit_*') or a part of a name. {' '.join(f'Not searched: {error}' for error in everything.missing)}"
            raise UnknownNameError("model", pattern, everything.names, hint.strip())
        names += found
    return tuple(dict.fromkeys(names)) if most is None else _spread(tuple(dict.fromkeys(names)), most)


def _spread(names: Sequence[str], most: int) -> tuple[str, ...]:
    by_source: dict[str, list[str]] = {}
    for name in names:
        by_source.setdefault(name.partition(":")[0], []).append(name)
    kept: list[str] = []
    for same in by_source.values():
        kept += same if len(same) <= most else [same[index * len(same) // most] for index in range(most)]
    return tuple(kept)
