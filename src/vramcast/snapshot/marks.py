"""Marks: what a measured run says of itself in the texts that torch attaches to the allocator's events.

`torch.cuda.memory._set_memory_metadata(text)` (torch 2.13, `torch/cuda/memory.py`; pytorch pull request 165490) gives every later event of
the thread the text as `user_metadata`, and takes no memory for it. A measured run sets one mark per phase and one per module call:

    12|forward|1|layer1.0.conv1        number of the phase in the run, its name, step, module; the module may be empty

A text belongs to the thread that set it (pytorch pull request 189402). Events of a thread that set none, such as autograd's, have
none; where that thread has run modules (a checkpointed block, recomputed), the text of an earlier phase is still there in a later one.
The number tells: such events belong to the phase of the event before them, since one phase ends before the next begins; of their module
nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vramcast.snapshot.frames import Site
from vramcast.trace import Phase

_PARTS = 4


class Mark(NamedTuple):
    """Where the program is."""

    number: int
    """Counts the phases of a run: later ones have larger numbers."""
    phase: Phase
    module: str = ""


def write_mark(mark: Mark) -> str:
    """Return the text of a mark."""
    return f"{mark.number}|{mark.phase.name}|{mark.phase.step}|{mark.module}"


def read_mark(text: object) -> Mark | None:
    """Return the mark that a text is; None for anything else."""
    if not isinstance(text, str):
        return None
    parts = text.split("|", _PARTS - 1)
    if len(parts) != _PARTS or not parts[1]:
        return None
    try:
        return Mark(int(parts[0]), Phase(parts[1], int(parts[2])), parts[3])
    except ValueError:
        return None


def are_marked(texts: Iterable[object]) -> bool:
    """Tell whether a run set marks."""
    return any(read_mark(text) for text in texts)


class Marks:
    """Reads the marks of events in order; before the first one, the phase is `first`."""

    def __init__(self, first: Phase) -> None:
        self._latest = Mark(-1, first)

    def place(self, site: Site, text: object) -> Site:
        """Return where an event happened: its phase from its mark or from the event before, its module from its mark or unknown."""
        mark = read_mark(text)
        if mark is None or mark.number < self._latest.number:
            return site._replace(phase=self._latest.phase, module="", owner="")
        self._latest = mark
        return site._replace(phase=mark.phase, module=mark.module, owner=mark.module)
