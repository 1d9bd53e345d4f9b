"""The blocks of the terminal report: each takes the estimate and the space it has, and returns something rich can print."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vramcast.footprint import Estimate
from vramcast.reports import wording
from vramcast.reports.bars import bar, card_bar
from vramcast.reports.glyphs import Glyphs, shorten
from vramcast.reports.palette import SWATCHES
from vramcast.reports.shares import largest_apart
from vramcast.units import format_bytes
from vramcast.verdict import verdict_of

HEADING = "bold"
_STYLES = {"fits": "bold green", "too close to call": "bold yellow", "does not fit": "bold red", None: "bold"}
SIDE = "dim"
_INDENT = 2
GAP = 2
_FIGURE = 11
"""Cells of the longest figure, `1023.99 MiB`."""
_SHARE = 5
"""Cells of the longest share, `100 %`."""
_SHORTEST_BAR = 12
"""Where a bar would be shorter, the shares make room for it."""


def head(estimate: Estimate, width: int, glyphs: Glyphs) -> RenderableType:
    """The verdict, the card filled, the totals, when the peak is, and what was asked."""
    style = _STYLES[verdict_of(estimate.fits, estimate.confidence)]
    lines: list[RenderableType] = [Text(wording.verdict(estimate), style=style)]
    if estimate.gpu:
        lines.append(card_bar(estimate.components, estimate.gpu.usable_bytes, width, glyphs))
    if estimate.out_of_memory:
        lines.append(Text(estimate.out_of_memory, style="red"))
    lines += [
        Text(wording.totals(estimate.peak, glyphs)),
        Text(wording.calibration(estimate.calibration), style=SIDE),
        Text(wording.instant(estimate.peak)),
        Text(wording.subject(estimate, glyphs), style=SIDE),
        Text(wording.task(estimate.workload, glyphs, told=estimate.preset), style=SIDE),
    ]
    return Group(*lines)


def breakdown(estimate: Estimate, width: int, glyphs: Glyphs) -> RenderableType:
    """Every component at the peak instant as a bar, largest first, and their sum."""
    held = sorted(((name, size) for name, size in estimate.components.items() if size), key=lambda item: -item[1])
    total = sum(size for _, size in held)
    room = width - _INDENT - max((len(SWATCHES[name].label) for name, _ in held), default=0) - _FIGURE - 2 * GAP
    has_shares = room - _SHARE - GAP >= _SHORTEST_BAR
    room -= (_SHARE + GAP) * has_shares
    table = _table("left", "right", *(["right"] * has_shares), "left")
    for name, size in held:
        share = [Text(wording.percent(size, total), style=SIDE)] * has_shares
        drawn = Text(bar(size / held[0][1], room, glyphs), style=SWATCHES[name].colour)
        table.add_row(SWATCHES[name].label, format_bytes(size), *share, drawn)
    table.add_row("total", format_bytes(total), *[Text("100 %", style=SIDE)] * has_shares, style=HEADING)
    return _headed("What fills it at the peak", table)


def ladder(estimate: Estimate, glyphs: Glyphs) -> RenderableType:
    """How the tensors' bytes become the card's, rung by rung, the one that decides marked."""
    table = _table("left", "right", "left")
    for rung in estimate.ladder:
        table.add_row(rung.name, format_bytes(rung.bytes), _pointer("must fit", rung.decides, glyphs))
    return _headed("From tensors to the card", table)


def phases(estimate: Estimate, glyphs: Glyphs) -> RenderableType | None:
    """The device bytes of each phase, the one that sets the peak marked; None for a single phase, which is the peak itself."""
    if len(estimate.phases) < 2:
        return None
    table = _table("left", "right", "left")
    for phase in estimate.phases:
        table.add_row(phase.name, format_bytes(phase.device_bytes), _pointer("peak", phase.binding, glyphs))
    return _headed("Peak of each phase", table)


def modules(estimate: Estimate, width: int, glyphs: Glyphs) -> RenderableType | None:
    """The modules that hold most at the peak instant; None where none is known."""
    shown = largest_apart(estimate.modules)
    if not shown:
        return None
    room = max(width - _INDENT - _FIGURE - _SHARE - 2 * GAP, 1)
    table = _table("left", "right", "right")
    for share in shown:
        part = wording.percent(share.bytes, estimate.peak.device_bytes)
        table.add_row(shorten(share.name, room, glyphs), format_bytes(share.bytes), Text(part, style=SIDE))
    return _headed("Modules that hold most", table)


def notes(estimate: Estimate) -> RenderableType | None:
    """What a target costs, what the preset set, what the data set says, and what was not modelled; None where there is nothing to say."""
    said: list[tuple[str, str, str]] = []
    if estimate.bytes_per_target is not None:
        said.append(("+", f"each further target per image costs {format_bytes(estimate.bytes_per_target)} at the peak", ""))
    if estimate.preset:
        said.append(("=", f"preset {estimate.workload.get('preset')} set {', '.join(wording.settings(estimate.preset))}", ""))
    if estimate.data:
        said += [("=", sentence, "") for sentence in wording.data(estimate.data)]
    said += [("!", f"{caveat.message}{wording.bound(caveat.bound_bytes)}", "yellow") for caveat in estimate.caveats]
    if not said:
        return None
    table = Table.grid(padding=(0, 1))
    for mark, sentence, style in said:
        table.add_row(Text(mark, style=style), Text(sentence))
    return table


def side_by_side(left: RenderableType, right: RenderableType, left_width: int) -> RenderableType:
    """Put two blocks beside each other, the right one `left_width` cells and a gap from the edge."""
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(width=left_width)
    table.add_column()
    table.add_row(left, right)
    return table


def stacked(blocks: Iterable[RenderableType | None]) -> RenderableType:
    """Put blocks below each other with an empty line between; None is left out."""
    spaced: list[RenderableType] = []
    for block in blocks:
        if block is not None:
            spaced += [Text(), block] if spaced else [block]
    return Group(*spaced)


def _pointer(words: str, is_shown: bool, glyphs: Glyphs) -> Text:
    return Text(f"{glyphs.pointer} {words}" if is_shown else "", style=HEADING)


def _headed(title: str, table: Table) -> RenderableType:
    return Group(Text(title, style=HEADING), _indented(table))


def _indented(table: Table) -> RenderableType:
    return Padding(table, (0, 0, 0, _INDENT))


def _table(*alignments: str) -> Table:
    table = Table.grid(padding=(0, GAP, 0, 0))
    for alignment in alignments:
        table.add_column(justify="right" if alignment == "right" else "left", overflow="fold")
    return table
