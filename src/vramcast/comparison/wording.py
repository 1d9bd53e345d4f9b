"""A comparison in words, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vramcast.comparison.compare import Comparison, ErrorShares, Row
from vramcast.comparison.events import Divergence, EventDifferences, Lifetime, Missing, Request
from vramcast.units import format_bytes

_MOST = 10
"""Operators listed of those that have no partner, and lifetimes."""
_WIDTHS = (24, 14, 14, 14)


def describe(comparison: Comparison) -> Iterator[str]:
    """Yield the figures, the components, and where the error comes from."""
    yield from _table("", comparison.rungs)
    yield from _table("Reserved peak of each phase", comparison.phases)
    yield from _table("Held at the peak of each side", comparison.components)
    if comparison.shares is not None:
        yield from _shares(comparison.shares)
    if comparison.events is not None:
        yield ""
        yield f"Events: {_summary(comparison.events)}"
    yield from (f"! {note}" for note in comparison.notes)


def describe_events(events: EventDifferences) -> Iterator[str]:
    """Yield where the events part, what has no partner, and what lives longer."""
    yield _summary(events)
    if not events.by_phase:
        yield "The measured run does not tell its phases: it is compared as one sequence."
    if events.first is not None:
        yield from _divergence("First difference", events.first)
    if events.first_tensor is not None and events.first_tensor != events.first:
        yield from _divergence("First that is not scratch of a kernel", events.first_tensor)
    yield from _missing("Forecast alone", events.only_forecast)
    yield from _missing("Measured alone", events.only_measured)
    if events.lifetimes_count:
        yield ""
        yield f"Freed at another place: {events.lifetimes_count:,} blocks; the weightiest:"
        yield from map(_lifetime, events.lifetimes[:_MOST])


def _summary(events: EventDifferences) -> str:
    if events.are_equal:
        return f"{events.pairs:,} requests ({format_bytes(events.paired_bytes)}), the same on both sides, in order, with the same lifetimes."
    alone = [f"{name} {sum(part.count for part in parts):,} ({format_bytes(sum(part.size for part in parts))})"
             for name, parts in (("forecast", events.only_forecast), ("measured", events.only_measured))]  # fmt: skip
    return f"{events.pairs:,} requests ({format_bytes(events.paired_bytes)}) on both sides; alone: {', '.join(alone)}."


def _table(title: str, rows: Iterable[Row]) -> Iterator[str]:
    listed = list(rows)
    if not listed:
        return
    if title:
        yield ""
    yield _cells(title, "forecast", "measured", "difference")
    for row in listed:
        yield _cells(row.name, _size(row.forecast), _size(row.measured), _signed(row))


def _shares(shares: ErrorShares) -> Iterator[str]:
    verdict = "exactly what was recorded" if shares.is_exact else f"{format_bytes(shares.recorded_bytes)} were recorded"
    yield ""
    yield f"The measured trace, replayed: reserved {format_bytes(shares.replayed_bytes)}, {verdict}"
    yield ""
    yield "Where the error comes from"
    for name in ("allocator", "tracer", "workspace", "context"):
        size = getattr(shares, name)
        yield _cells(name, "", "", "unknown" if size is None else _plus(size))
    yield _cells("total", "", "", _plus(shares.total))


def _divergence(title: str, divergence: Divergence) -> Iterator[str]:
    yield ""
    yield f"{title}, after {divergence.matched:,} requests in common:"
    yield f"  forecast  {_request(divergence.forecast)}"
    yield f"  measured  {_request(divergence.measured)}"


def _missing(title: str, parts: tuple[Missing, ...]) -> Iterator[str]:
    if not parts:
        return
    yield ""
    yield f"{title}:"
    for part in parts[:_MOST]:
        yield f"  {part.count:>6,} x {part.operator} in {part.phase}, {format_bytes(part.size)}"
    if len(parts) > _MOST:
        yield f"  and {sum(part.count for part in parts[_MOST:]):,} of {len(parts) - _MOST} further kinds"


def _lifetime(lifetime: Lifetime) -> str:
    ours, theirs = ("never" if place is None else f"after {place:,} requests" for place in (lifetime.freed_after, lifetime.measured_freed_after))
    return f"  {_request(lifetime.request)}: forecast {ours}, measured {theirs}"


def _request(request: Request | None) -> str:
    if request is None:
        return "the end"
    module = f" in {request.module}" if request.module else ""
    return f"{request.operator}{module} ({request.phase}, step {request.step}): {request.size:,} B"


def _cells(*cells: str) -> str:
    first, *others = cells
    return (first.ljust(_WIDTHS[0]) + "".join(cell.rjust(width) for cell, width in zip(others, _WIDTHS[1:]))).rstrip()


def _size(size: int | None) -> str:
    return "unknown" if size is None else format_bytes(size)


def _signed(row: Row) -> str:
    return "" if row.difference is None else _plus(row.difference)


def _plus(size: int) -> str:
    return f"+{format_bytes(size)}" if size > 0 else format_bytes(size)
