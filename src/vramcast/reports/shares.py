"""Which modules to show when only a few can be shown."""

from __future__ import annotations

from collections.abc import Iterable

from vramcast.footprint import ModuleShare


def largest_apart(modules: Iterable[ModuleShare], most: int = 5) -> tuple[ModuleShare, ...]:
    """Return up to `most` modules that hold most and do not lie inside each other, largest first.

    Starting from the model's direct children, the largest module is replaced by its own children until there are `most`:
    `model` alone says nothing, `model.0` … `model.22` do.
    """
    known = {share.name: share for share in modules if share.name and share.bytes > 0}
    children: dict[str, list[ModuleShare]] = {}
    for share in known.values():
        children.setdefault(_nearest_ancestor(share.name, known), []).append(share)
    shown = children.get("", [])
    while len(shown) < most:
        divisible = [share for share in shown if share.name in children]
        if not divisible:
            break
        largest = max(divisible, key=lambda share: share.bytes)
        shown = [share for share in shown if share is not largest] + children[largest.name]
    return tuple(sorted(shown, key=lambda share: (-share.bytes, share.name))[:most])


def _nearest_ancestor(name: str, known: Iterable[str]) -> str:
    """Return the closest listed module that contains `name`; the empty name is the model itself."""
    parent = name.rpartition(".")[0]
    while parent and parent not in known:
        parent = parent.rpartition(".")[0]
    return parent
