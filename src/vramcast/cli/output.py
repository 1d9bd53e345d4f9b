"""Standard output: tables, JSON, and a reader who leaves early."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import click


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Let `| head` close the pipe: what is left to print is dropped, and the answer stands."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output once more at exit: docs.python.org, library/signal, "Note on SIGPIPE".
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
    """Print aligned columns under `header`; the columns named in `numbers` are aligned to the right."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = [cell.rjust(width) if title in numbers else cell.ljust(width) for title, cell, width in zip(header, line, widths)]
        click.echo("  ".join(cells).rstrip())


def print_json(value: object) -> None:
    """Print plain data, structs or dataclasses as indented JSON."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))
