"""Which module each buffer of a generated program comes from.

Inductor remembers of every buffer the nodes it was made from (`origins`), and dynamo of every node the modules it was called in
(`nn_module_stack`; of a node of the backward graph, those of its forward node: `fwd_nn_module_stack`, 2.13). Of a buffer that several modules
are fused into, the last one counts: its value is the buffer's.
"""

from __future__ import annotations

import re

from torch import fx
from torch._inductor.graph import GraphLowering

ENTER = "enter_module"
_MADE = re.compile(r"^(\s+)(buf\d+) = ", re.MULTILINE)
_STEP = re.compile(r"\.(\w+)|\[['\"]?(\w+)['\"]?\]")


def with_modules(source: str, graph: GraphLowering) -> tuple[str, tuple[str, ...]]:
    """Return a wrapper's text with `enter_module(i)` before each buffer of another module, and the paths that the numbers stand for."""
    numbers: dict[str, int] = {}

    def entered(match: re.Match[str]) -> str:
        path = _path(graph, match[2])
        if path is None:
            return match[0]
        number = numbers.setdefault(path, len(numbers))
        return f"{match[1]}{ENTER}({number})\n{match[0].lstrip(chr(10))}"

    return _MADE.sub(entered, source), tuple(numbers)


def _path(graph: GraphLowering, name: str) -> str | None:
    buffer = graph.name_to_buffer.get(name)
    if buffer is None:
        return None
    places = {node: place for place, node in enumerate(graph.module.graph.nodes)}
    known = [node for node in buffer.origins if module_of(node) is not None]
    return module_of(max(known, key=lambda node: places.get(node, -1))) if known else None


def module_of(node: fx.Node) -> str | None:
    """Return the path of the innermost module that a node was called in, beneath the compiled one: `layers.0.attn`; None where it is unknown."""
    stack = node.meta.get("nn_module_stack") or node.meta.get("fwd_nn_module_stack")
    if not stack:
        return None
    source = str(list(stack.values())[-1][0])
    return ".".join(step or key for step, key in _STEP.findall(source.removeprefix("L")[_end_of_local(source) :]))


def _end_of_local(source: str) -> int:
    """Say where the name of the local variable ends, with which a source begins: `L['self'].layers.0`."""
    return source.index("]") if source.startswith("L[") else 0
