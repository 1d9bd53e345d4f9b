"""Outcomes in a file, one JSON object a line, written as they come: an interrupted validation goes on where it stopped."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

from vramcast.errors import OutputError
from vramcast.validation.outcome import Outcome


class Line(msgspec.Struct, frozen=True):
    """One line of the file."""

    fingerprint: str
    outcome: Outcome


class Results:
    """A file of outcomes, by fingerprint; the last line of a fingerprint counts. Lines that are no outcomes are passed over.

    Raises:
        OutputError: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Outcome] = {}
        self._file: BinaryIO | None = None

    def __enter__(self) -> Results:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._known = {line.fingerprint: line.outcome for line in _read(self._path)}
            self._file = self._path.open("ab")
            if self._file.tell():
                self._file.write(b"\n")  # what was cut off in the middle of a line must not spoil the next
        except OSError as error:
            raise OutputError(f"outcomes cannot be kept in {str(self._path)!r}: {error.strerror}. Name another file with --results.") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def find(self, fingerprint: str) -> Outcome | None:
        """Return the outcome kept under a fingerprint."""
        return self._known.get(fingerprint)

    def keep(self, fingerprint: str, outcome: Outcome) -> None:
        """Write an outcome down, at once."""
        assert self._file is not None
        self._known[fingerprint] = outcome
        self._file.write(msgspec.json.encode(Line(fingerprint, outcome)) + b"\n")
        self._file.flush()


def default_path() -> Path:
    """Return where outcomes are kept when nothing is said: in the user's cache (XDG Base Directory Specification 0.8)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "vramcast", "validation.jsonl")


def _read(path: Path) -> list[Line]:
    if not path.exists():
        return []
    lines = []
    decoder = msgspec.json.Decoder(Line)
    for text in path.read_bytes().splitlines():
        try:
            lines.append(decoder.decode(text))
        except (msgspec.DecodeError, ValueError):  # of another version, or cut off
            continue
    return lines
