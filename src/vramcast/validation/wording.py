"""A validation in words, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vramcast.units import format_gib
from vramcast.validation.case import Law
from vramcast.validation.choices import chosen_on
from vramcast.validation.summary import Miss, Missing, SetSummary, Share, Validation
from vramcast.validation.targets import TargetResult

COLUMNS = ("metric", "family", "cases", "median", "p90", "p95", "largest", "bias", "signed p5", "signed p95")
"""What `cells` returns, by name."""


def text(validation: Validation) -> str:
    """Return the whole validation: a block a set, and the targets."""
    blocks = [_block(summary) for summary in validation.sets]
    judged = [target for target in validation.targets if target.found is not None]
    if judged:
        blocks.append("\n".join(["Targets", *(f"  {verdict(target)}: {target.case_set}, {target_words(target)}" for target in judged)]))
    return "\n\n".join(blocks)


def verdict(target: TargetResult) -> str:
    """Return `met`, `missed`, or `not run`."""
    return {True: "met", False: "missed", None: "not run"}[target.is_met]


def target_words(target: TargetResult) -> str:
    """Return what was asked and found: `median: 3.24 %, bound 6 % (15 cases)`."""
    found = "–" if target.found is None else percent(target.found, 2)
    return f"{target.statement}: {found}, bound {bound(target)} ({target.cases} cases)"


def bound(target: TargetResult) -> str:
    """Return a bound with as many digits as it was set with: `6 %`, `0.5 %`."""
    return f"{target.bound * 100:g} %"


def percent(share: float, decimals: int = 1) -> str:
    """Return an error as `3.2 %`."""
    return f"{share * 100:.{decimals}f} %"


def signed(share: float) -> str:
    """Return a signed error as `-3.2 %`."""
    return f"{share * 100:+.1f} %"


def cells(share: Share) -> tuple[str, ...]:
    """Return the columns of one part of a set, as `COLUMNS` names them."""
    found = share.accuracy
    errors = (percent(value) for value in (found.median, found.p90, found.p95, found.largest))
    signs = (signed(value) for value in (found.bias, found.low, found.high))
    return (share.metric, share.family or "all", str(found.cases), *errors, *signs)


def extent(summary: SetSummary) -> str:
    """Say how many cases were forecast, of how many rows; of a set that nothing was measured for, that there is no case yet."""
    rows = summary.expressed + sum(len(missing.ids) for missing in summary.unexpressed)
    if not rows:
        return "no case yet"
    return f"{rows} rows, {summary.expressed} of them cases, {summary.forecast} forecast"


def held(law: Law) -> str:
    """Say of how many runs a law holds, and name those that break it."""
    broken = f"; not of {', '.join(law.broken)}" if law.broken else ""
    return f"{law.statement}: {law.of - len(law.broken)} of {law.of}{broken}"


def fitted(summary: SetSummary) -> str:
    """Say what was fitted; nothing where nothing was."""
    if summary.constant_bytes is None:
        return ""
    return f"Fitted: {summary.fitted}: {format_gib(summary.constant_bytes)}. The errors are those of the other half."


def _block(summary: SetSummary) -> str:
    lines = [f"{summary.name}: {extent(summary)}"]
    if summary.constant_bytes is not None:
        lines.append("  " + fitted(summary))
    if choice := chosen_on(summary.name):
        lines.append("  " + choice)
    if summary.metrics:
        lines += _table([COLUMNS, *map(cells, (*summary.metrics, *summary.families))])
    lines += [f"  {held(law)}" for law in summary.laws]
    if summary.worst:
        lines += ["  Furthest off:", *_table(map(_miss, summary.worst))]
    lines += _missing("No forecast", summary.failures) + _missing("Not expressed", summary.unexpressed)
    return "\n".join(lines)


def _miss(miss: Miss) -> tuple[str, ...]:
    return (signed(miss.error), miss.id, f"{miss.model} batch {miss.batch}", miss.reason)


def _missing(title: str, groups: Sequence[Missing]) -> list[str]:
    return [f"  {title} ({len(group.ids)}): {group.reason}" for group in groups]


def _table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = list(rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
