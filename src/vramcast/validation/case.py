"""One measured figure, and what was run when it was read."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from vramcast.workload import Workload

Metric = Literal["allocated", "reserved", "device"]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A measured case that the program can express."""

    id: str
    model: str
    """Full name: `timm:convnext_tiny`."""
    workload: Workload
    gpu: str
    """Name of the card in the catalogue."""
    metric: Metric
    measured_bytes: int
    group: str
    """What counts as one when a set is divided in halves: cases of one model must not sit on both sides."""


class Unexpressed(msgspec.Struct, frozen=True):
    """A measured case that the program cannot express, and why."""

    id: str
    reason: str


class CaseSet(Protocol):
    """A source of measured cases."""

    name: str
    citation: str
    """Where the figures come from and under which licence."""
    environment: str
    """What is fitted for the whole set, in words; empty when nothing is."""

    def read(self, folder: str) -> tuple[list[Case], list[Unexpressed]]:
        """Read the set's file from a folder of measured figures.

        Raises:
            InvalidFileError: the file is missing or has other columns.
        """
