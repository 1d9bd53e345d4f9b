"""One measured figure, and what was run when it was read."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import msgspec

from vramcast.gpu.spec import GpuSpec
from vramcast.validation.figures import AS_USER, Figures, Forecaster
from vramcast.workload import Workload

Metric = Literal["allocated", "reserved", "device", "weights", "activation"]
"""`weights` and `activation`: what TensorRT's builder calls so."""
METRICS: tuple[Metric, ...] = get_args(Metric)


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a measurement beside the workload, in the source's own words."""

    torch: str = ""
    """Version; empty where the source does not state it."""
    source: str = ""
    confidence: str = ""
    """`high`, `med` or `low`: how clear the set-up is."""
    is_assumed: bool = False
    """Part of the set-up is not stated upstream but assumed here."""
    trainer: str = ""
    """The program that trained, and its version, where that decides how the figure is to be read."""
    notes: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A measured case that the program can express."""

    id: str
    model: str
    """Full name: `timm:convnext_tiny`."""
    workload: Workload
    gpu: str
    """Name of the card: in the catalogue, unless `card` describes it."""
    metric: Metric
    measured_bytes: int
    group: str
    """What counts as one when a set is divided in halves: cases of one model must not sit on both sides."""
    environment: Environment = Environment()
    card: GpuSpec | None = None
    """The card as it was read in the run; None: the catalogue's."""


class Unexpressed(msgspec.Struct, frozen=True):
    """A measured case that the program cannot express, and why."""

    id: str
    reason: str


class Law(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold of every measured run without any tolerance, and of which it does not."""

    statement: str
    of: int
    """Runs it was tried on."""
    broken: tuple[str, ...]
    """Names of the runs that break it."""


class CaseSet(Protocol):
    """A source of measured cases: a class that inherits from this one, and a line in `registry.py`."""

    name: str
    citation: str
    """Where the figures come from and under which licence."""
    environment: str
    """What is fitted for the whole set, in words; empty when nothing is."""
    is_open: bool = True
    """Whether the licence lets the figures lie in `measured/`; others are read from a folder, and only aggregate errors are kept."""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Read the set's rows; `folder` holds the files of sets that are not open.

        Raises:
            InvalidFileError: the file is missing or has other columns.
        """
        ...

    def forecast(self, case: Case, by: Forecaster = AS_USER) -> Figures:
        """Forecast one case of the set: the model under the case's workload, unless a set runs something else.

        Raises:
            VramcastError: there is no forecast.
        """
        return by.of_model(case.model, case.workload, case.card or case.gpu)

    def laws(self, folder: str | None) -> tuple[Law, ...]:
        """Try the laws that the set's own rows can show; nothing where they show none."""
        return ()
