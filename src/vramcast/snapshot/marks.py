"""Marks: what a measured run says of itself in the texts that torch attaches to the allocator's events.

`torch.cuda.memory._set_memory_metadata(text)` (torch 2.13, `torch/cuda/memory.py`) gives every later event the text as
`user_metadata`, and takes no memory for it. A measured run sets one mark per phase and one per module call:

    forward|1|layer1.0.conv1        phase, step, module; the module may be empty

Events of a thread that set no text, such as autograd's, have none. They belong to the phase of the event before them,
since one phase ends before the next begins; of their module nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable

from vramcast.snapshot.frames import Site
from vramcast.trace import Phase

_PARTS = 3


def write_mark(phase: Phase, module: str = "") -> str:
    """Return the text of a mark."""
    return f"{phase.name}|{phase.step}|{module}"


def read_mark(text: str) -> tuple[Phase, str] | None:
    """Return phase and module of a mark; None for any other text."""
    parts = text.split("|", _PARTS - 1)
    if len(parts) != _PARTS or not parts[0]:
        return None
    try:
        return Phase(parts[0], int(parts[1])), parts[2]
    except ValueError:
        return None


def are_marked(texts: Iterable[str]) -> bool:
    """Tell whether a run set marks."""
    return any(read_mark(text) for text in texts)


class Marks:
    """Reads the marks of events in order."""

    def __init__(self, first: Phase) -> None:
        self._phase = first

    def place(self, site: Site, text: str) -> Site:
        """Return where an event happened: its phase from its mark or from the event before, its module from its mark or unknown."""
        mark = read_mark(text)
        module = ""
        if mark is not None:
            self._phase, module = mark
        return site._replace(phase=self._phase, module=module, owner=module)
