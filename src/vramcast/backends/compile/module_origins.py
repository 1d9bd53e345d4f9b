"""Which module each buffer of a generated program comes from.

Inductor remembers of every buffer the nodes it was made from (`origins`), and dynamo of every node the modules it was called in
(`nn_module_stack`; of a node of the backward graph, those of its forward node: `fwd_nn_module_stack`, 2.13). Of a buffer that several modules
are fused into, the last one counts: its value is the buffer's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import fx
from torch._inductor.graph import GraphLowering

ENTER = "enter_module"
_MADE = re.compile(r"^([ \t]+)(buf\d+) = ", re.MULTILINE)
_NO_NAMES = frozenset(("__self__", "_modules"))
"""Steps of a path that are not names of modules: the local variable it begins with (`L['self']`) may be a bound method, `L['fn'].__self__`."""
_STEP = re.compile(r"\.(\w+)|\[['\"]?(\w+)['\"]?\]")


def with_modules(source: str, graph: GraphLowering, nodes: Iterable[fx.Node]) -> tuple[str, tuple[str, ...]]:
    """Return a wrapper's text with `enter_module(i)` before each buffer is made, and the paths that the numbers stand for.

    `nodes` are those of the graph that was lowered, in its order.
    """
    places = {node: place for place, node in enumerate(nodes)}
    numbers: dict[str, int] = {}

    def entered(match: re.Match[str]) -> str:
        buffer = graph.name_to_buffer.get(match[2])
        path = None if buffer is None else _path(buffer.origins, places)
        if path is None:
            return match[0]
        return f"{match[1]}{ENTER}({numbers.setdefault(path, len(numbers))})\n{match[0]}"

    return _MADE.sub(entered, source), tuple(numbers)


def _path(origins: Iterable[fx.Node], places: Mapping[fx.Node, int]) -> str | None:
    known = [node for node in origins if module_of(node) is not None]
    return module_of(max(known, key=lambda node: places.get(node, -1))) if known else None


def module_of(node: fx.Node) -> str | None:
    """Return the path of the innermost module that a node was called in, beneath the compiled one: `layers.0.attn`; None where it is unknown."""
    stack = node.meta.get("nn_module_stack") or node.meta.get("fwd_nn_module_stack")
    if not stack:
        return None
    source = str(list(stack.values())[-1][0])
    steps = (step or key for step, key in _STEP.findall(source.partition("]")[2]))
    return ".".join(step for step in steps if step not in _NO_NAMES)
