"""What one process of a sweep does: make a family, or forecast some points. Functions of plain values, so that they can be sent anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vramcast.allocator.config import AllocatorConfig
from vramcast.closed_form import is_count, trace_parameters
from vramcast.errors import VramcastError
from vramcast.family import TraceFamily, build
from vramcast.family.piece import Point
from vramcast.gpu.context import context_bytes
from vramcast.pipeline import forecast
from vramcast.solvers.peaks import live_peak, live_peaks
from vramcast.solvers.points import Points, find_model, workload_at
from vramcast.solvers.sweep.grid import Combination, Grid
from vramcast.solvers.sweep.record import Record, record_of
from vramcast.trace import Trace
from vramcast.workspace.insert import insert_scratch
from vramcast.workspace.stack import Stack, stack_of

_FEWEST = 4
"""Points of a combination from which on a family saves traces."""


@dataclass(frozen=True, slots=True)
class Share:
    """Some points of one combination, with the family that tells them."""

    grid: Grid
    combination: Combination
    family: TraceFamily | None
    places: tuple[tuple[int, Point], ...]
    """Index within the grid, and the point."""


def check_model(model: str) -> None:
    """Refuse a model that nothing answers to, before any work is given out.

    Raises:
        UsageError: there is none, or its package is absent.
    """
    if not is_count(model):
        find_model(model)


def family_of(grid: Grid, combination: Combination) -> TraceFamily | None:
    """Return the family of a combination; None where its points are too few, or it cannot be traced: then each point says why."""
    if is_count(grid.model) or len(grid.batches) * len(grid.sizes) < _FEWEST:
        return None
    try:
        points = Points(find_model(grid.model), combination.workload, combination.card, grid.axes)
        return build(points.trace, grid.axes, (min(grid.batches), max(grid.batches)), grid.sizes)
    except VramcastError:
        return None


def records_of(share: Share) -> list[tuple[int, Record]]:
    """Forecast the points of a share; a point that cannot be forecast becomes a record that says why."""
    if share.grid.is_quick:
        return quick_records(share)
    return [(index, _record(share, point)) for index, point in share.places]


def quick_records(share: Share) -> list[tuple[int, Record]]:
    """Return the live bytes of each point, worked out together where a family tells them."""
    workload, card = share.combination.workload, share.combination.card
    stack, config = stack_of(card, workload), AllocatorConfig.parse(workload.allocator)
    pieces = {point: share.family.piece_at(point) if share.family else None for _, point in share.places}
    lives: dict[Point, int] = {}
    for piece in {id(piece): piece for piece in pieces.values() if piece is not None}.values():
        points = [point for point, home in pieces.items() if home is piece]
        lives.update(zip(points, live_peaks(piece, points, stack, config).tolist()))
    return [(index, _quick_record(share, point, lives.get(point), stack, config)) for index, point in share.places]


def _quick_record(share: Share, point: Point, live: int | None, stack: Stack, config: AllocatorConfig) -> Record:
    axes, card = share.grid.named(share.combination, point), share.combination.card
    try:
        live = live_peak(insert_scratch(_trace(share, point), stack), config) if live is None else live
    except VramcastError as error:
        return Record(axes=axes, error=str(error))
    exceeds = (
        card is not None and live + context_bytes(card, loads_eagerly=share.combination.workload.environment.loads_eagerly).low > card.usable_bytes
    )
    return Record(axes=axes, live_bytes=live, fits=False if exceeds else None, verdict="does not fit" if exceeds else None)


def _record(share: Share, point: Point) -> Record:
    axes = share.grid.named(share.combination, point)
    try:
        workload = workload_at(share.combination.workload, share.grid.axes, point)
        estimate = forecast(_trace(share, point), share.combination.card, workload)
        return record_of(axes, estimate)
    except VramcastError as error:
        return Record(axes=axes, error=str(error))


def _trace(share: Share, point: Point) -> Trace:
    told = share.family.at(point) if share.family is not None else None
    if told is not None:
        return told
    if is_count(share.grid.model):
        return trace_parameters(share.grid.model, workload_at(share.combination.workload, share.grid.axes, point))
    return Points(find_model(share.grid.model), share.combination.workload, share.combination.card, share.grid.axes).trace(point)


def shares(grid: Grid, combination: Combination, family: TraceFamily | None, places: Sequence[tuple[int, Point]], size: int) -> list[Share]:
    """Return the points of a combination in shares of about a size."""
    return [Share(grid, combination, family, tuple(places[start : start + size])) for start in range(0, len(places), size)]
