"""How much memory a replay has: of the driver, and of the card."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """What an allocator can have. By default as much as it asks for, which tells what the program wants."""

    limit: int | None = None
    """Bytes the driver has for it; None: any number."""
    device_memory: int | None = None
    """The card's whole memory (`totalGlobalMem`), of which `per_process_memory_fraction` is a share; None: `limit`."""
    crowded: int | None = None
    """Reserved bytes above which `EMPTY_CACHE_IF_CROWDED` empties the cache; None: it never does."""

    enough: int | None = None
    """Reserved bytes beyond which a replay may end: who asks only whether more is taken need not see the rest. None: it goes on to its end."""

    def divided_by(self, factor: float) -> Room:
        """Return the room on a card so many times as small."""
        limit, memory, crowded = (None if size is None else int(size / factor) for size in (self.limit, self.device_memory, self.crowded))
        return Room(limit, memory, crowded, self.enough)


UNLIMITED_ROOM = Room()
