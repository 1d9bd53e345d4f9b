"""What a report reads and what it offers.

A report is one file in this folder and one line in `registry.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO, runtime_checkable

if TYPE_CHECKING:
    from vramcast.footprint import Estimate
    from vramcast.timeline import Timeline
    from vramcast.trace import Trace


class Forecast(Protocol):
    """A finished forecast: the answer, and the two values it was read from."""

    @property
    def estimate(self) -> Estimate:
        """The answer."""

    @property
    def trace(self) -> Trace:
        """What is asked for, event by event."""

    @property
    def timeline(self) -> Timeline:
        """What the allocator made of it."""


class Report(Protocol):
    """One way to write a forecast down."""

    def save(self, forecast: Forecast, path: Path) -> None:
        """Write the report to `path`, whole or not at all.

        Raises:
            OutputError: the path cannot be written.
        """


@runtime_checkable
class TextReport(Report, Protocol):
    """A report that can also be printed."""

    def show(self, forecast: Forecast, stream: TextIO) -> None:
        """Print the report, in what colours, width and characters the stream has."""
