"""Outcomes in a file, written as they come: an interrupted validation goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

from vramcast.record_store import RecordStore, in_cache
from vramcast.validation.outcome import Outcome


class Results(RecordStore[Outcome]):
    """A file of outcomes, by fingerprint.

    Raises:
        OutputError: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "outcome", Outcome)

    def __enter__(self) -> Results:
        super().__enter__()
        return self


def default_path() -> Path:
    """Return where outcomes are kept when nothing is said: in the user's cache."""
    return in_cache("validation.jsonl")
