"""The report for people: one screen, whatever the terminal can do."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console, RenderableType

from vramcast.atomic_file import write_atomically
from vramcast.footprint import Estimate
from vramcast.reports import sections
from vramcast.reports.glyphs import UNICODE, Glyphs, glyphs_for
from vramcast.reports.interface import Forecast

WIDEST = 100
"""Longer lines are harder to read; a wider terminal leaves the rest empty."""
NARROWEST = 40
_TWO_COLUMNS_FROM = 80
_RIGHT_COLUMN = 36


class TerminalReport:
    """Colours where the stream has them (and `NO_COLOR` is not set), Unicode where it can encode it, its width up to 100."""

    def show(self, forecast: Forecast, stream: TextIO) -> None:
        """Print the report."""
        terminal, encoding = Console(file=stream), stream.encoding or "utf-8"
        width = min(max(terminal.width, NARROWEST), WIDEST)
        canvas = _canvas(width, terminal.color_system if terminal.is_terminal else None, terminal.no_color)
        text = _printed(forecast.estimate, canvas, glyphs_for(encoding))
        # Names and caveats are not ours to spell in ASCII.
        stream.write(text.encode(encoding, "replace").decode(encoding))

    def save(self, forecast: Forecast, path: Path) -> None:
        """Write the report as plain text in UTF-8, 100 columns wide. Raises `OutputError` when the path cannot be written."""
        text = render_plain(forecast.estimate, WIDEST, UNICODE)
        write_atomically(path, lambda file: file.write(text.encode()))


def render_plain(estimate: Estimate, width: int, glyphs: Glyphs) -> str:
    """Return the report without colours, `width` columns wide (at least 40)."""
    return _printed(estimate, _canvas(max(width, NARROWEST)), glyphs)


def _canvas(width: int, color_system: str | None = None, no_color: bool = True) -> Console:
    """Make a console that draws into memory, whatever the real one is: only a finished report is printed."""
    return Console(
        file=io.StringIO(), width=width, color_system=cast(Any, color_system), force_terminal=color_system is not None, no_color=no_color,
        legacy_windows=False, highlight=False, markup=False, emoji=False,
    )  # fmt: skip


def _printed(estimate: Estimate, canvas: Console, glyphs: Glyphs) -> str:
    with canvas.capture() as capture:
        canvas.print(_layout(estimate, canvas.width, glyphs))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _layout(estimate: Estimate, width: int, glyphs: Glyphs) -> RenderableType:
    has_two_columns = width >= _TWO_COLUMNS_FROM
    left = width - _RIGHT_COLUMN - sections.GAP if has_two_columns else width
    right = _RIGHT_COLUMN if has_two_columns else width
    breakdown = sections.breakdown(estimate, left, glyphs)
    beside = [sections.ladder(estimate, glyphs), sections.phases(estimate, glyphs), sections.modules(estimate, right, glyphs)]
    body = [sections.side_by_side(breakdown, sections.stacked(beside), left)] if has_two_columns else [breakdown, *beside]
    return sections.stacked([sections.head(estimate, width, glyphs), *body, sections.notes(estimate)])
