"""What is being done, shown while it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stages() -> Iterator[Callable[[str], None] | None]:
    """Yield a function to call with the name of each stage; it turns a wheel on standard error, if that is a terminal.

    Elsewhere None is yielded, and nothing is printed.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stderr)  # this very stream: an exporter's remarks are kept from the one of that name
    with console.status(Text("starting"), spinner="line" if console.options.ascii_only else "dots") as status:
        yield lambda stage: status.update(Text(stage))


@contextmanager
def counted(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with how many of how many are done; it moves a bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
