"""Values in a file, one JSON object a line under a key, written as they come: interrupted work goes on where it stopped."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Generic, TypeVar

import msgspec

from vramcast.errors import OutputError

Value = TypeVar("Value")


class RecordStore(Generic[Value]):
    """A file of values by key; the last line of a key counts. Lines that are none (cut off, or of another version) are passed over.

    Each line is `{"fingerprint": key, NAME: value}`, `name` being what the values are called. With no path nothing is kept.

    Raises:
        OutputError: the file cannot be read or written.
    """

    def __init__(self, path: Path | None, name: str, kind: type[Value]) -> None:
        self._path = path
        self._name = name
        self._line: Any = msgspec.defstruct("Line", [("fingerprint", str), (name, kind)])
        self._known: dict[str, Value] = {}
        self._file: BinaryIO | None = None

    def __enter__(self) -> RecordStore[Value]:
        if self._path is None:
            return self
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._known = self._read(self._path)
            self._file = self._path.open("ab")
            if self._file.tell():
                self._file.write(b"\n")  # what was cut off in the middle of a line must not spoil the next
        except OSError as error:
            raise OutputError(f"{self._name}s cannot be kept in {str(self._path)!r}: {error.strerror}. Name another file with --results.") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def find(self, key: str) -> Value | None:
        """Return the value kept under a key."""
        return self._known.get(key)

    def keep(self, key: str, value: Value) -> None:
        """Write a value down, at once.

        Raises:
            OutputError: there is no room for it.
        """
        self._known[key] = value
        if self._file is None:
            return
        try:
            self._file.write(msgspec.json.encode({"fingerprint": key, self._name: value}) + b"\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(f"cannot write '{self._path}': {error.strerror}. Make room and run the same again: it goes on.") from error

    def _read(self, path: Path) -> dict[str, Value]:
        if not path.exists():
            return {}
        decoder = msgspec.json.Decoder(self._line)
        found: dict[str, Value] = {}
        with path.open("rb") as file:
            for text in file:
                try:
                    line = decoder.decode(text)
                except (msgspec.DecodeError, ValueError):
                    continue
                found[line.fingerprint] = getattr(line, self._name)
        return found


def in_cache(name: str) -> Path:
    """Return a file in the user's cache (XDG Base Directory Specification 0.8)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "vramcast", name)
