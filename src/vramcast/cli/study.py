"""`vramcast study`: many models at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vramcast.cli.cards import complete_gpu
from vramcast.cli.options import study_fields, workload_options
from vramcast.cli.output import print_table
from vramcast.cli.progress import counted
from vramcast.cli.sections import SectionedCommand, SectionedOption
from vramcast.errors import UsageError
from vramcast.reports.drawing import check_drawing
from vramcast.reports.files import check_writable
from vramcast.units import format_gib

if TYPE_CHECKING:
    from vramcast.study.models.findings import GroupFindings, Study

EXAMPLES = """\b
Examples:
  vramcast study "torchvision:*"
  vramcast study "yolo*" --batch 16 --precision amp-fp16 --gpu t4
  vramcast study "timm:resnet*" "timm:densenet*" --plot study.svg -o study.csv
  vramcast study --sample 100 --document study.md

\b
Each model is forecast twice, in inference and in training. Interrupted, the same command goes on where it was.

\b
Exit codes:
  0 models were forecast    2 wrong usage    3 no model could be forecast"""
_ANSWER = "Models and answer"
_SHOWN = ("weights", "inference", "inference activations", "training", "training activations")
_NUMBERS = ("models", "bytes/parameter", "R²", "rank corr.", "elasticity", "R² of logs")
_NAMED = 3
"""Outliers named on a screen."""
_ERRORS = 5


@click.command("study", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--gpu", cls=SectionedOption, section=_ANSWER, metavar="CARD", shell_complete=complete_gpu,
              help="A card (`vramcast gpus` lists them), a size such as 24GiB, or auto for the one in this machine.")  # fmt: skip
@click.option("--sample", cls=SectionedOption, section=_ANSWER, type=click.IntRange(1), metavar="N",
              help="At most so many models of each source, evenly spread.")  # fmt: skip
@click.option("--format", "form", cls=SectionedOption, section=_ANSWER, type=click.Choice(["terminal", "json", "csv", "parquet"]),
              help="terminal (the default), json, csv or parquet.")  # fmt: skip
@click.option("-o", "--output", cls=SectionedOption, section=_ANSWER, type=click.Path(path_type=Path), metavar="PATH",
              help="Write to a file, whole or not at all; its ending chooses the format where --format does not.")  # fmt: skip
@click.option("--plot", cls=SectionedOption, section=_ANSWER, type=click.Path(path_type=Path), metavar="PATH",
              help="Draw it too: parameters against weights, inference and training, with lines and outliers. png, svg or pdf.")  # fmt: skip
@click.option("--document", cls=SectionedOption, section=_ANSWER, type=click.Path(path_type=Path), metavar="PATH",
              help="Write it as a page with plots, too.")  # fmt: skip
@click.option("--results", cls=SectionedOption, section=_ANSWER, type=click.Path(dir_okay=False), show_default="in the user's cache",
              help="File that keeps each model's row as it comes: what is there and still valid is not forecast again.")  # fmt: skip
@click.option("--processes", cls=SectionedOption, section=_ANSWER, type=click.IntRange(1), default=os.cpu_count() or 1,
              show_default="all cores", help="Processes on this machine.")  # fmt: skip
@workload_options
def study(
    patterns: tuple[str, ...], gpu: str | None, sample: int | None, form: str | None, output: Path | None, plot: Path | None,
    document: Path | None, results: str | None, processes: int, **options: Any,
) -> None:  # fmt: skip
    """Hold the parameters of many models against the memory they take in inference and in training.

    PATTERNs choose among the models that can be built by name ('timm:vit_*', or a part of a name); without one, all are taken.
    """
    form = _checked_form(form, output, plot, document)
    fields = study_fields(options)
    from vramcast.study.models.study import study as study_models

    with counted("models") as progress:
        found = study_models(patterns, gpu, sample=sample, processes=processes, results=results, progress=progress, **fields)
    _deliver(found, form, output)
    if plot is not None:
        from vramcast.study.models.plots import draw

        draw(found, plot)
    if document is not None:
        from vramcast.study.models.page import write

        write(document, found, _command(patterns, sample))


def _checked_form(form: str | None, output: Path | None, plot: Path | None, document: Path | None) -> str:
    """Choose the format and check that everything can go where it should, before anything is forecast."""
    from vramcast.study.models.tables import format_for

    for path in filter(None, (output, plot, document)):
        check_writable(path)
    for drawing in filter(None, (plot, document and document.with_suffix(".svg"))):
        check_drawing(drawing, "Drawing a study")
    if form is None:
        return "terminal" if output is None else format_for(output)
    if form == "terminal" and output is not None:
        raise UsageError(f"--format terminal is for people; '{output}' can hold json, csv or parquet.")
    if form == "parquet" and output is None:
        raise UsageError("--format parquet is a binary file and cannot be printed. Name a file: -o study.parquet")
    return form


def _deliver(found: Study, form: str, output: Path | None) -> None:
    from vramcast.study.models.tables import FORMATS, write

    if output is not None:
        write(found, output, form)
    elif form == "terminal":
        _show(found)
    else:
        click.echo(FORMATS[form](found), nl=False)


def _show(found: Study) -> None:
    from vramcast.study.models.statement import statement

    whole = sum(row.is_whole for row in found.rows)
    click.echo(f"{whole} models of {len(found.rows)} forecast in inference and in training\n")
    header = ("", "", *_NUMBERS)
    print_table(header, (line for group in found.groups for line in _lines(group)), numbers=_NUMBERS)
    if not found.groups:
        print_table(("model", "parameters", "inference", "training"), map(_model, found.rows), numbers=("parameters", "inference", "training"))
    for sentence in statement(found):
        click.echo(f"\n{click.wrap_text(sentence, 110)}")
    for group in found.groups[:1]:
        _show_outliers(group)
    _show_errors(found)


def _lines(group: GroupFindings) -> list[tuple[str, ...]]:
    """Return a line for each figure of a group; the group is named in the first."""
    lines: list[tuple[str, ...]] = []
    for index, (measure, fit) in enumerate((name, group.fits[name]) for name in _SHOWN if name in group.fits):
        figures = f"{fit.slope:.2f}", f"{fit.r_squared:.3f}", f"{fit.spearman:.2f}", f"{fit.elasticity:.2f}", f"{fit.log_r_squared:.2f}"
        lines.append(("" if index else group.name, measure, "" if index else str(group.models), *figures))
    return lines


def _model(row: Any) -> tuple[str, ...]:
    from vramcast.units import format_count

    sizes = ("-" if mode is None else format_gib(mode.allocated_bytes) for mode in (row.infer, row.train))
    return row.model, format_count(row.parameters), *sizes


def _show_outliers(group: GroupFindings) -> None:
    for title, sides in (("above", group.above), ("below", group.below)):
        named = ", ".join(f"{one.model} x{one.factor:.2f}" for one in sides.get("training", ())[:_NAMED])
        if named:
            click.echo(f"furthest {title} the line in training ({group.name}): {named}")


def _show_errors(found: Study) -> None:
    failed = [row for row in found.rows if row.error]
    for row in failed[:_ERRORS]:
        click.echo(click.wrap_text(f"! {row.model}: {row.error}", 110, "", "  "))
    if len(failed) > _ERRORS:
        click.echo(f"! and {len(failed) - _ERRORS} more; --format json names all")


def _command(patterns: tuple[str, ...], sample: int | None) -> str:
    """Return what anybody can type to get the same page."""
    return " ".join(["vramcast study", *(f"'{pattern}'" for pattern in patterns), *([f"--sample {sample}"] if sample else [])])
