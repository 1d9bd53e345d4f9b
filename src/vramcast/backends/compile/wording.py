"""What is told of code that was not compiled as one graph: which code, and why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import fx
from torch._dynamo.output_graph import GraphCompileReason

_TOLD = 3
"""Places of graph breaks that are named."""
_LONGEST = 300
_CONSEQUENCE = "step_unsupported"
"""How dynamo calls the break of a frame that calls one that breaks (torch/_dynamo/symbolic_convert.py, 2.13)."""


def told_breaks(reasons: Sequence[GraphCompileReason], graphs: int) -> str | None:
    """Say into how many graphs a model falls, where and why; None where it is whole."""
    own = [broken for broken in reasons if not broken.reason.startswith(_CONSEQUENCE)]
    places = list(dict.fromkeys(map(_place, own or reasons)))
    if not places:
        return None
    more = f"; and {len(places) - _TOLD} more" if len(places) > _TOLD else ""
    return (
        f"torch.compile splits the model into {graphs} graph{'' if graphs == 1 else 's'}; what stands between runs eagerly, and was forecast so. "
        f"It breaks at: {'; '.join(places[:_TOLD])}{more}."
    )


def reason(error: BaseException) -> str:
    """Say in one line what stood in the way: what the innermost cause says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("backend=")]
    return (lines[0] if lines else type(error).__name__)[:_LONGEST]


def region(module: fx.GraphModule) -> str:
    """Name a captured graph by the modules that it begins and ends in."""
    names = list(dict.fromkeys(_innermost(module.graph.nodes)))
    return "the graph of the model" if not names else "the graph of " + " to ".join(dict.fromkeys((names[0], names[-1])))


def _innermost(nodes: Iterable[fx.Node]) -> Iterable[str]:
    for node in nodes:
        stack = node.meta.get("nn_module_stack")
        if stack:
            path, kind = list(stack.values())[-1]
            yield f"module {path!r} ({getattr(kind, '__name__', kind)})"


def _place(broken: GraphCompileReason) -> str:
    lines = [line.strip() for line in broken.reason.splitlines() if line.strip()]
    why = (lines[0] if lines else "no reason given")[:_LONGEST]
    if not broken.user_stack:
        return why
    frame = broken.user_stack[-1]
    return f"{why} ({os.sep.join(Path(frame.filename).parts[-2:])}:{frame.lineno}, in {frame.name})"
