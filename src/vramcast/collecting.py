"""When Python's collector runs: it walks every object there is, which takes a fifth of the start and a third of the tracing of a detector.

What an import makes lives as long as the process, and what tracing makes is collected as ever, since a program's cycles end at the same
moment with it as on a GPU.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def not_collecting() -> Iterator[None]:
    """Collect nothing while something is imported, built or worked out that leaves no cycles behind; count what it made as old."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # to the oldest generation: the next collection need not walk it
        if was_enabled:
            gc.enable()


@contextmanager
def collecting_young_objects_only() -> Iterator[None]:
    """Keep the collector from walking the modules and classes that are there already."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
