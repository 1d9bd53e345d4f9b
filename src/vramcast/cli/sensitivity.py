"""`vramcast sensitivity`: how memory answers to image, batch and model size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vramcast.cli.cards import card_named, complete_gpu
from vramcast.cli.options import workload_from
from vramcast.cli.output import print_json, print_table
from vramcast.cli.progress import stages
from vramcast.cli.sections import SectionedCommand, SectionedOption
from vramcast.cli.swept_options import split, swept_options
from vramcast.units import format_gib

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vramcast.study.response import Response, Sensitivity

EXAMPLES = """\b
Examples:
  vramcast sensitivity yolo11n --train --batch 16 --precision amp-fp16
  vramcast sensitivity yolo11n --train --precision amp-fp16 --batch 1,4,16 --image 320,640
  vramcast sensitivity yolo11m --infer --batch 1 --precision fp16 --gpu t4
  vramcast sensitivity torchvision:resnet50 --train --batch 32 --larger torchvision:resnet152
  vramcast sensitivity transformers:./my-model --larger transformers:./my-larger-model --train --seq 1024 --format json

\b
Ranges are from:to[:step], both ends included; lists are 1,4,16: each is a working point.

\b
Exit codes:
  0 answered    2 wrong usage    3 no forecast came about"""
_ANSWER = "Card and answer"
_NUMBERS = ("factor", "process", "more", "elasticity", "of tensors")


@click.command("sensitivity", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("model")
@click.option("--gpu", cls=SectionedOption, section=_ANSWER, metavar="CARD", shell_complete=complete_gpu,
              help="A card (`vramcast gpus` lists them), a size such as 24GiB, or auto for the one in this machine.")  # fmt: skip
@click.option("--larger", cls=SectionedOption, section=_ANSWER, metavar="MODEL",
              help="The next size up, where the names of the model's source do not tell it.")  # fmt: skip
@click.option("--format", "form", cls=SectionedOption, section=_ANSWER, type=click.Choice(["terminal", "json"]), default="terminal",
              help="terminal (the default) or json.")  # fmt: skip
@swept_options
def sensitivity(model: str, gpu: str | None, larger: str | None, form: str, **options: Any) -> None:
    """Say how the memory of MODEL answers to doubling image (or sequence) and batch, and to the family's next size up.

    An elasticity of 2 says that memory grows with the square of what is varied, 1 that it grows with it, 0 that it does not care.
    """
    from vramcast.solvers.sweep.run import combined

    single, axes = split(options)
    workloads, card = [workload_from({**single, **settings}) for settings in combined(axes)], card_named(gpu)
    from vramcast.study.sensitivity import sensitivities

    with stages() as progress:
        found = sensitivities(model, workloads, card, larger=larger, progress=progress)
    if form == "json":
        print_json(found if axes else found[0])
    elif axes:
        _show_points(found, list(axes))
    else:
        _show(found[0])


def _show(found: Sensitivity) -> None:
    on = f" of {format_gib(found.gpu.usable_bytes)} on {found.gpu.name}" if found.gpu else ""
    click.echo(f"{found.model.name} needs {format_gib(found.peak.device_bytes)}{on}; the peak is in {found.peak.phase}\n")
    known = [answer for answer in found.responses if answer.error is None]
    print_table(("varied", "", *_NUMBERS, "because of"), map(_row, known), numbers=_NUMBERS)
    if found.statement:
        click.echo(f"\n{click.wrap_text(found.statement, 110)}")
    for answer in found.responses:
        if answer.error is not None:
            click.echo(f"! {answer.varied}: {answer.error}")


def _row(answer: Response) -> tuple[str, ...]:
    assert answer.peak is not None
    sizes = format_gib(answer.peak.device_bytes), _more(answer)
    step = f"{answer.before} → {answer.after}"
    return answer.varied, step, f"{answer.factor:.2f}", *sizes, f"{answer.elasticity:.2f}", f"{answer.elasticity_of_tensors:.2f}", answer.why


def _more(answer: Response) -> str:
    return "-" if answer.error is not None else f"{'+' if answer.added_bytes >= 0 else ''}{format_gib(answer.added_bytes)}"


def _show_points(found: Sequence[Sensitivity], axes: Sequence[str]) -> None:
    """One line per working point, and for each point where the order differs, why."""
    varied = [answer.varied for answer in found[0].responses]
    header = (*axes, "process", *varied, "order")
    print_table(header, (_point(one, axes) for one in found), numbers=header[:-1])
    for one in found:
        if "does not hold" in one.statement:
            place = ", ".join(f"{axis} {_value(one, axis)}" for axis in axes)
            click.echo(click.wrap_text(f"{place}: {one.statement}", 110, "+ ", "  "))
    for error in dict.fromkeys(f"! {answer.varied}: {answer.error}" for one in found for answer in one.responses if answer.error):
        click.echo(error)


def _point(one: Sensitivity, axes: Sequence[str]) -> tuple[str, ...]:
    return *(_value(one, axis) for axis in axes), format_gib(one.peak.device_bytes), *map(_more, one.responses), " > ".join(one.order)


def _value(one: Sensitivity, axis: str) -> str:
    value = one.workload[axis]
    return "x".join(map(str, dict.fromkeys(value))) if isinstance(value, (list, tuple)) else str(value)
