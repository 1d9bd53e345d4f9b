"""What a sweep has done so far, kept beside its output: one line of JSON per share, so that an interrupted sweep goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from vramcast.errors import OutputError
from vramcast.solvers.sweep.record import Record


class _Head(msgspec.Struct, frozen=True):
    sweep: str
    """The grid's digest."""


class _Line(msgspec.Struct, frozen=True):
    records: list[tuple[int, Record]]


class Journal:
    """The file `<output>.partial`; gone once the output is written."""

    def __init__(self, output: Path, digest: str) -> None:
        self.path = output.with_name(f"{output.name}.partial")
        self._digest = digest

    def read(self) -> dict[int, Record]:
        """Return the records that an interrupted run of the same sweep left; a line that was cut off is left out.

        Raises:
            OutputError: the file belongs to another sweep.
        """
        if not self.path.exists():
            return {}
        head, *lines = self.path.read_bytes().splitlines() or [b""]
        if not self._is_ours(head):
            raise OutputError(f"'{self.path}' holds another, interrupted sweep. Run that one again to go on with it, or delete the file.")
        found: dict[int, Record] = {}
        for line in lines:
            try:
                found.update(msgspec.json.decode(line, type=_Line).records)
            except msgspec.DecodeError:
                break
        return found

    def start(self, records: dict[int, Record]) -> None:
        """Begin the file with what is known: nothing, or what an interrupted run left.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self.path.write_bytes(msgspec.json.encode(_Head(self._digest)) + b"\n")
        except OSError as error:
            raise OutputError(f"cannot write '{self.path}': {error.strerror}. Choose a path in an existing, writable folder.") from error
        self.add(records.items())

    def add(self, records: Iterable[tuple[int, Record]]) -> None:
        """Write down some records, at once."""
        line = msgspec.json.encode(_Line(list(records))) + b"\n"
        try:
            with self.path.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise OutputError(f"cannot write '{self.path}': {error.strerror}. Make room and run the same sweep again: it goes on.") from error

    def finish(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    def _is_ours(self, head: bytes) -> bool:
        try:
            return msgspec.json.decode(head, type=_Head).sweep == self._digest
        except msgspec.DecodeError:
            return False
