"""`vramcast sweep`: forecasts at every point of a grid."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vramcast.cli.cards import card_named, complete_gpu
from vramcast.cli.data_options import NAMES, data_from, data_options, print_data
from vramcast.cli.options import workload_from
from vramcast.cli.output import print_table
from vramcast.cli.progress import counted
from vramcast.cli.sections import SectionedCommand, SectionedOption
from vramcast.cli.swept_options import split, swept_options
from vramcast.errors import UsageError
from vramcast.reports.drawing import check_drawing
from vramcast.reports.files import check_writable
from vramcast.units import format_gib
from vramcast.verdict import verdict_words

if TYPE_CHECKING:
    from vramcast.footprint import DataSummary
    from vramcast.solvers.sweep.grid import Grid
    from vramcast.solvers.sweep.record import Record

EXAMPLES = """\b
Examples:
  vramcast sweep torchvision:resnet50 --train --batch 1:64 --image 320:1280:32 --gpu "rtx 4090" -o sweep.json
  vramcast sweep yolo11n --train --batch 16,32 --precision fp32,amp-fp16 --optimizer musgd,adamw --gpu t4
  vramcast sweep torchvision:resnet50 --train --batch 8:256:8 --image 224:512:32 --gpu t4 --gpu "rtx 4090" --plot map.svg
  vramcast sweep yolo11n --train --preset ultralytics --batch 8:32:8 --data coco128/data.yaml --gpu t4
  vramcast sweep model.py:build --train --batch 1:512 --engine dask://scheduler:8786 -o sweep.parquet

\b
Ranges are from:to[:step], both ends included; lists are 16,32,64; both can be mixed.
Interrupted with -o, the same command goes on where it was.

\b
Exit codes:
  0 points were forecast    2 wrong usage    3 no point could be forecast"""
_ANSWER = "Cards and answer"


@click.command("sweep", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("model")
@click.option("--gpu", "gpus", cls=SectionedOption, section=_ANSWER, metavar="CARD", multiple=True, shell_complete=complete_gpu,
              help="A card or a size, as for `estimate`. Repeatable: with several, the card is an axis too.")  # fmt: skip
@click.option("--format", "form", cls=SectionedOption, section=_ANSWER, type=click.Choice(["table", "json", "csv", "parquet"]),
              help="table (the default), json, csv or parquet.")  # fmt: skip
@click.option("-o", "--output", cls=SectionedOption, section=_ANSWER, type=click.Path(path_type=Path), metavar="PATH",
              help="Write to a file, whole or not at all; its ending chooses the format where --format does not.")  # fmt: skip
@click.option("--plot", cls=SectionedOption, section=_ANSWER, type=click.Path(path_type=Path), metavar="PATH",
              help="Draw it too: a heat map of batch and image with the border of each card, or stacked components along one axis. "
              "png, svg or pdf; needs the extra plots.")  # fmt: skip
@click.option("--quick", cls=SectionedOption, section=_ANSWER, is_flag=True,
              help="Live bytes alone, without replaying the allocator: thousands of points in a second.")  # fmt: skip
@click.option("--engine", cls=SectionedOption, section=_ANSWER, metavar="dask://HOST:PORT",
              help="Where the work is done: on this machine, or on an existing Dask cluster (needs the extra cluster).")  # fmt: skip
@click.option("--processes", cls=SectionedOption, section=_ANSWER, type=click.IntRange(1), default=os.cpu_count() or 1,
              show_default="all cores", help="Processes on this machine.")  # fmt: skip
@data_options
@swept_options
def sweep(
    model: str, gpus: tuple[str, ...], form: str | None, output: Path | None, plot: Path | None, quick: bool, engine: str | None, processes: int,
    **options: Any,
) -> None:  # fmt: skip
    """Forecast MODEL at every point of a grid of batches, sizes, precisions, optimizers, or any other option of the workload."""
    form = _checked_form(form, output, plot)
    if quick and plot is not None:
        raise UsageError("--quick and --plot exclude each other: a drawing shows reserved bytes and components, which only a replay tells.")
    laid_out, summary = _grid(model, gpus, options)
    asked = replace(laid_out, is_quick=quick)
    from vramcast.solvers.sweep.engines import engine_named
    from vramcast.solvers.sweep.journal import Journal
    from vramcast.solvers.sweep.run import run

    workers = engine_named(engine, processes)
    with counted(f"{len(asked):,} points") as progress:
        records = run(asked, workers, output, progress)
    _deliver(records, form, output)
    print_data(summary, err=form != "table")
    if output is not None:
        Journal(output, asked.digest()).finish()
    if plot is not None:
        from vramcast.solvers.sweep.plots import draw

        draw(records, plot, [card for card in map(card_named, gpus) if card is not None])
    if all(record.error is not None for record in records):
        raise _no_forecast(records)


def _checked_form(form: str | None, output: Path | None, plot: Path | None) -> str:
    """Choose the format and check that everything can go where it should, before anything is forecast."""
    from vramcast.solvers.sweep.tables import format_for

    for path in filter(None, (output, plot)):
        check_writable(path)
    if plot is not None:
        from vramcast.solvers.sweep.plots import PURPOSE

        check_drawing(plot, PURPOSE)
    if form is None:
        return "table" if output is None else format_for(output)
    if form == "table" and output is not None:
        raise UsageError(f"--format table is for people; '{output}' can hold json, csv or parquet.")
    if form == "parquet" and output is None:
        raise UsageError("--format parquet is a binary file and cannot be printed. Name a file: -o sweep.parquet")
    return form


def _grid(model: str, gpus: Sequence[str], options: Mapping[str, Any]) -> tuple[Grid, DataSummary | None]:
    from vramcast.solvers.sweep.grid import SIZES, grid
    from vramcast.solvers.sweep.run import combinations, combined, for_data

    data, options = data_from(options, None), {name: value for name, value in options.items() if name not in NAMES}
    single, axes = split(options)
    cards = [card for card in map(card_named, gpus) if card is not None]
    others = {name: values for name, values in axes.items() if name not in SIZES}
    workloads = [(settings, workload_from({**single, **settings})) for settings in combined(others)]
    made, summary = for_data(data, model, workloads, tuple(axes))
    along = {name: values for name, values in axes.items() if name in SIZES}
    return grid(model, combinations(made, cards), along, [*axes, *(["gpu"] if len(cards) > 1 else [])]), summary


def _deliver(records: Sequence[Record], form: str, output: Path | None) -> None:
    from vramcast.solvers.sweep.tables import FORMATS, write

    if output is not None:
        write(records, output, form)
    elif form == "table":
        _show(records)
    else:
        click.echo(FORMATS[form](records), nl=False)


_SIZES = {"live": "live_bytes", "allocated": "allocated_bytes", "reserved": "reserved_bytes", "process": "device_bytes"}


def _show(records: Sequence[Record]) -> None:
    sizes = {title: name for title, name in _SIZES.items() if any(getattr(record, name) is not None for record in records)}
    header = (*records[0].axes, *sizes, "verdict")
    print_table(header, (_row(record, sizes.values()) for record in records), numbers=header[:-1])
    for error in dict.fromkeys(record.error for record in records if record.error):
        click.echo(f"! no forecast: {error}")


def _row(record: Record, names: Iterable[str]) -> tuple[str, ...]:
    sizes = [getattr(record, name) for name in names]
    verdict = "no forecast" if record.error else verdict_words(record.fits, record.confidence)
    return *map(str, record.axes.values()), *("-" if size is None else format_gib(size) for size in sizes), verdict


def _no_forecast(records: Sequence[Record]) -> Exception:
    from vramcast.errors import ForecastError

    return ForecastError(f"no point could be forecast. The first: {records[0].error}")
