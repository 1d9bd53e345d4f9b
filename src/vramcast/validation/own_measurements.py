"""What the project measured itself, with `vramcast measure`: the very program that is forecast, on cards of which everything is known."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from vramcast.allocator.replay import replay
from vramcast.comparison.reforecast import card_of, workload_of
from vramcast.comparison.side import of_measurement
from vramcast.errors import InvalidFileError, VramcastError, WorkloadError
from vramcast.measurement import Measurement
from vramcast.measurement_file import FAILED, load_failure, load_measurement
from vramcast.validation.case import Case, CaseSet, Environment, Law, Unexpressed

_FOLDER = "campaign"
_EXACT = "recorded traces, replayed, reserve what was recorded, to the byte (runs in which no cached segment had to be given back)"


class OwnMeasurements(CaseSet):
    """A case for each figure of each run; forecast for the card, torch, switches and variables that were read in the run.

    The files lie in `measured/campaign/`, and in the folder `campaign` of the user's, which is read last: of one and the same case on one and the
    same card, the last counts.
    """

    name = "measured"
    citation = "`vramcast measure` on real cards (docs/measuring.md); each file of measured/campaign/ states card, driver and versions"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Runs that did not reach their end have no peak that a forecast could be held against."""
        cases: list[Case] = []
        unexpressed: list[Unexpressed] = []
        for name, found in _runs(folder).items():
            reason = found if isinstance(found, str) else _reason_against(found)
            if isinstance(found, str) or reason:
                unexpressed.append(Unexpressed(name, reason))
            else:
                cases += _cases(name, found)
        return cases, unexpressed

    def laws(self, folder: str | None) -> tuple[Law, ...]:
        """Hold the allocator's simulation against what real allocators did."""
        traced = {name: run for name, run in _runs(folder).items() if isinstance(run, Measurement) and run.trace and not run.num_alloc_retries}
        if not traced:
            return ()
        broken = tuple(name for name, run in traced.items() if not _replays_exactly(run))
        return (Law(statement=_EXACT, of=len(traced), broken=broken),)


def _runs(folder: str | None) -> dict[str, Measurement | str]:
    """Return the measured runs by name; for those that left no measurement, the reason."""
    return dict(_run(path) for place in _places(folder) for path in sorted(place.rglob("*.json")))


def _places(folder: str | None) -> Iterator[Path]:
    yield Path(str(resources.files("vramcast.validation").joinpath("measured", _FOLDER)))
    if folder is not None:
        yield Path(folder, _FOLDER)


def _run(path: Path) -> tuple[str, Measurement | str]:
    try:
        if path.name.endswith(FAILED):
            failure = load_failure(path)
            return failure.id, f"the process ended badly: {_last_line(failure.reason)}"
        run = load_measurement(path)
        return f"{run.id} on {run.card.name}", run
    except InvalidFileError:
        return path.name, "the file is no measurement that this version reads"


def _reason_against(run: Measurement) -> str:
    """Return why a run is no case; empty where it is one."""
    if run.outcome == "out_of_memory":
        return "the run was out of memory before its peak"
    if run.outcome == "failed":
        return f"the program failed: {run.message.partition(chr(10))[0]}"
    if not run.max_memory_allocated_bytes:
        return "the run allocated nothing"
    try:
        workload_of(run)
    except WorkloadError as error:
        return str(error)
    return ""


def _cases(name: str, run: Measurement) -> Iterator[Case]:
    environment = Environment(
        torch=run.software.packages.get("torch", ""), source=f"vramcast measure {run.vramcast}, {run.id}.json", confidence="high",
        notes=f"driver {run.software.driver}; device memory by {run.method}",
    )  # fmt: skip
    for figure in run.figures():
        yield Case(
            id=f"{name}, {figure.metric}", model=run.model, workload=workload_of(run), gpu=run.card.name, card=card_of(run.card),
            metric=figure.metric, measured_bytes=figure.measured_bytes, group=run.model, environment=environment,
        )  # fmt: skip


def _replays_exactly(run: Measurement) -> bool:
    """Tell whether the recorded trace, replayed, reserves what torch counted; one that cannot be read or replayed does not."""
    try:
        side = of_measurement(run, run.id)
        return side.trace is not None and replay(side.trace, side.allocator, side.limit).peak_reserved == side.reserved_bytes
    except VramcastError:
        return False


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
