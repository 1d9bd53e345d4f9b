"""`vramcast diff`: a forecast beside a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vramcast.cli.output import print_json, print_table
from vramcast.cli.progress import stages
from vramcast.errors import EXIT_BROKEN_LAW, UsageError
from vramcast.units import format_bytes

if TYPE_CHECKING:
    from vramcast.comparison.side import Side

EXAMPLES = """\b
Examples:
  vramcast diff resnet50-measured.json                            the forecast is made now
  vramcast diff resnet50-forecast.json resnet50-measured.json
  vramcast diff --events resnet50-measured.json
  vramcast diff forecast.pickle snapshot.pickle --events          memory snapshots
  vramcast diff kernels-convolution.csv                           single kernels beside the rules for their scratch

\b
Exit codes:
  0 compared    1 the measured trace, replayed, does not give what was recorded    2 wrong usage    3 no forecast came about"""


@click.command("diff", epilog=EXAMPLES)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="[FORECAST] MEASURED")
@click.option("--events", "with_events", is_flag=True, help="Event by event: where the two part first, what has no partner, what lives longer.")
@click.option(
    "--allocator", default="", metavar="OPTIONS", help="PYTORCH_CUDA_ALLOC_CONF of the run of a bare snapshot; files of other kinds say it."
)
@click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", help="A page, or JSON.")
def diff(files: tuple[Path, ...], with_events: bool, allocator: str, form: str) -> None:
    """Hold a forecast beside a measurement, and say which part of vramcast the error comes from.

    MEASURED is a file of `vramcast measure`, or a snapshot that torch.cuda.memory._dump_snapshot wrote. FORECAST is what `vramcast estimate` wrote as
    JSON or as a snapshot; without it, the measured program is forecast now. A table of single kernels is held against the rules for their scratch.
    """
    if len(files) == 1 and files[0].suffix == ".csv":
        _compare_kernels(files[0], form)
        return
    if len(files) > 2:
        raise UsageError(f"two files are compared, but {len(files)} were given.")
    from vramcast.comparison.compare import compare
    from vramcast.comparison.wording import describe, describe_events

    forecast, measured = _sides(files, allocator)
    comparison = compare(forecast, measured)
    if with_events and comparison.events is None:
        raise UsageError(f"there are no events to compare: {(forecast if forecast.trace is None else measured).name} holds no trace.")
    if form == "json":
        print_json(comparison)
    else:
        click.echo(f"forecast  {forecast.name}\nmeasured  {measured.name}\n")
        lines = describe_events(comparison.events) if with_events and comparison.events is not None else describe(comparison)
        click.echo("\n".join(lines))
    if comparison.broken_law:
        click.echo(f"vramcast: {comparison.broken_law}", err=True)
        click.get_current_context().exit(EXIT_BROKEN_LAW)


def _sides(files: Sequence[Path], allocator: str) -> tuple[Side, Side]:
    """Read forecast and measurement; where there is a measurement alone, forecast it."""
    from vramcast.comparison.read_side import read_side
    from vramcast.comparison.reforecast import reforecast, trace_again
    from vramcast.comparison.side import of_estimate, of_measurement
    from vramcast.measurement_file import load_measurement

    with stages() as shown:
        progress = shown or (lambda _: None)
        if len(files) == 2:
            forecast, measured = (read_side(path, allocator, lambda estimate: trace_again(estimate, progress)) for path in files)
            return forecast, measured
        measurement = load_measurement(files[0])
        answer = reforecast(measurement, progress)
    name = f"{measurement.model}, made now for {measurement.card.name}"
    return of_estimate(answer, answer.trace, name), of_measurement(measurement, str(files[0]))


def _compare_kernels(path: Path, form: str) -> None:
    """Hold a table of single kernels against the rules."""
    from vramcast.measuring.micro.compare_kernels import agreements, read_measured

    measured, stack = read_measured(path)
    from vramcast.measuring.micro.forecast_kernels import forecast_kernels
    from vramcast.measuring.micro.process import kinds

    wanted = {row.kind for row in measured}
    forecast = [row for kind, kernels in kinds().items() if kind in wanted for row in forecast_kernels(kernels(), stack)]
    found = list(agreements(forecast, measured))
    if form == "json":
        print_json(found)
        return
    header = ("kind", "type", "layout", "pass", "kernels", "exact", "forecast", "measured", "median error", "furthest off")
    rows = (
        (part.kind, part.dtype, part.layout, part.direction, str(part.kernels), str(part.exact), format_bytes(part.forecast_bytes),
         format_bytes(part.measured_bytes), format_bytes(part.median_error), f"{part.worst} ({format_bytes(part.worst_error)})")
        for part in found
    )  # fmt: skip
    print_table(header, rows, numbers=("kernels", "exact", "forecast", "measured", "median error"))
