"""A process that gets ready, says so, and waits for the card: what all processes of a campaign do with their request."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

import msgspec

from vramcast.errors import VramcastError
from vramcast.measuring.request import READY

if TYPE_CHECKING:
    from vramcast.measuring.meters import Meters

Request = TypeVar("Request")
Run = Callable[[Request, Callable[[], None], "Callable[[], Meters] | None"], None]
"""Takes a request, a function that returns when the card is free, and what makes the meters."""


def answer(path: str, kind: type[Request], run: Run[Request], lines_in: TextIO, lines_out: TextIO, make_meters: Callable[[], Meters] | None) -> int:
    """Run the request of a file; return the exit code of `vramcast.errors`."""
    request = msgspec.json.decode(Path(path).read_bytes(), type=kind)

    def wait() -> None:
        print(READY, file=lines_out, flush=True)
        lines_in.readline()

    try:
        run(request, wait, make_meters)
    except VramcastError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
