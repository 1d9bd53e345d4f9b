"""Measured kernels beside what the rules say of them: how often the scratch is right to the byte, and how far off it is."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vramcast.comparison.reforecast import card_of
from vramcast.environment import NEWEST_TORCH, Environment
from vramcast.errors import InvalidFileError
from vramcast.measurement import MeasuredCard, Software
from vramcast.measuring.micro.table import Row, read_origin, read_table
from vramcast.workload import Workload
from vramcast.workspace.stack import Stack, stack_of


class _Origin(msgspec.Struct, frozen=True):
    card: MeasuredCard
    software: Software


@dataclass(frozen=True, slots=True)
class Agreement:
    """Kernels of one kind, type, layout and pass. Sizes in bytes: what a call asks for beside its outputs."""

    kind: str
    dtype: str
    layout: str
    direction: str
    kernels: int
    exact: int
    """How many are forecast to the byte."""
    forecast_bytes: int
    measured_bytes: int
    """Sums over the kernels."""
    median_error: int
    """Median of forecast less measured."""
    worst: str
    """The shape that is furthest off."""
    worst_error: int


def read_measured(path: Path) -> tuple[list[Row], Stack]:
    """Return the rows of a table that could be run, and what decides a forecast of them.

    Raises:
        InvalidFileError: it is no table of kernels.
    """
    try:
        origin = msgspec.json.decode(read_origin(path), type=_Origin)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidFileError(f"{str(path)!r} is no table of kernels: its first line does not say where it was measured ({error}).") from error
    ran = Workload(environment=Environment(torch=origin.software.packages.get("torch", NEWEST_TORCH)))
    return [row for row in read_table(path) if not row.error], stack_of(card_of(origin.card), ran)


def agreements(forecast: Iterable[Row], measured: Iterable[Row]) -> Iterator[Agreement]:
    """Yield how forecast and measured rows agree, group by group in the order of the table; kernels that only one side has are passed over."""
    ours = {_key(row): row for row in forecast}
    groups: dict[tuple[str, str, str, str], list[tuple[Row, Row]]] = {}
    for row in measured:
        if _key(row) in ours:
            groups.setdefault((row.kind, row.dtype, row.layout, row.direction), []).append((ours[_key(row)], row))
    for (kind, dtype, layout, direction), pairs in groups.items():
        errors = {row.shape: forecast_row.extra_bytes - row.extra_bytes for forecast_row, row in pairs}
        worst = max(errors, key=lambda shape: abs(errors[shape]))
        yield Agreement(
            kind=kind, dtype=dtype, layout=layout, direction=direction, kernels=len(pairs), exact=sum(error == 0 for error in errors.values()),
            forecast_bytes=sum(pair[0].extra_bytes for pair in pairs), measured_bytes=sum(pair[1].extra_bytes for pair in pairs),
            median_error=round(statistics.median(errors.values())), worst=worst, worst_error=errors[worst],
        )  # fmt: skip


def _key(row: Row) -> tuple[str, ...]:
    return row.kind, row.shape, row.dtype, row.layout, row.direction
