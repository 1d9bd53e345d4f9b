"""`vramcast advise`: what would make it fit, or free most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vramcast.cli.cards import card_named, complete_gpu
from vramcast.cli.data_options import data_from, data_options, print_data
from vramcast.cli.options import workload_from, workload_options
from vramcast.cli.output import print_json, print_table
from vramcast.cli.progress import stages
from vramcast.cli.sections import SectionedCommand, SectionedOption
from vramcast.units import format_bytes, format_gib
from vramcast.verdict import verdict_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vramcast.advice.answer import Advice, Advised

EXAMPLES = """\b
Examples:
  vramcast advise yolo11m --train --batch 16 --image 1280 --gpu "rtx 3060"
  vramcast advise yolo11n --train --preset ultralytics --batch 32 --gpu 4GiB
  vramcast advise yolo11n --train --preset ultralytics --batch 32 --data coco128/data.yaml --gpu 4GiB
  vramcast advise torchvision:resnet50 --train --batch 256 --ema --gpu "rtx 4090"
  vramcast advise timm:vit_base_patch16_224 --train --batch 128 --gpu t4 --format json
  vramcast advise params:1.3B --train --gpu 16GiB

\b
Exit codes:
  0 it fits, or something makes it fit, or no card was named    2 wrong usage
  1 nothing makes it fit                                        3 no forecast came about"""
_WIDTH = 120
_ANSWER = "Card and answer"
_HEADER = ("frees", "process", "verdict", "peak in", "lever", "costs")


@click.command("advise", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("model")
@click.option("--gpu", cls=SectionedOption, section=_ANSWER, metavar="CARD", shell_complete=complete_gpu,
              help="A card (`vramcast gpus` lists them), a size such as 24GiB, or auto for the one in this machine.")  # fmt: skip
@click.option("--format", "form", cls=SectionedOption, section=_ANSWER, type=click.Choice(["terminal", "json"]), default="terminal",
              help="terminal (the default) or json.")  # fmt: skip
@data_options
@workload_options
def advise(model: str, gpu: str | None, form: str, **options: Any) -> bool | None:
    """Say what would make MODEL fit on a card, or free most.

    Each lever (precision, layout, checkpointing, optimizer, batch, image, allocator ...) is a changed workload with a forecast of its own,
    alone and the best of them in pairs; with what it costs, how it is applied, and, where it gives nothing, why.
    """
    workload, card = workload_from(options), card_named(gpu)
    from vramcast.advice.advise import advise as find_advice

    with stages() as progress:
        advice = find_advice(model, workload, card, data=data_from(options, progress), progress=progress)
    if form == "json":
        print_json(advice)
    else:
        _show(advice)
    return advice.can_fit


def _show(advice: Advice) -> None:
    click.echo(_head(advice))
    helping = [one for one in advice.advised if one.why_not is None]
    if helping:
        click.echo()
        print_table(_HEADER, (_row(one) for one in helping), numbers=_HEADER[:2])
        click.echo("\nHow:")
        for name, code in dict.fromkeys(_ways(helping)):
            click.echo(f"  {name}:  {code}")
    others = [one for one in advice.advised if one.why_not is not None]
    if others:
        click.echo("\nFrees nothing:")
        for one in others:
            click.echo(click.wrap_text(f"{one.name} ({_difference(one.freed_bytes)}): {one.why_not}", _WIDTH, "  ", "    "))
    if advice.not_applicable:
        levers: dict[str, list[str]] = {}
        for left_out in advice.not_applicable:
            levers.setdefault(left_out.reason, []).append(left_out.lever)
        reasons = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in levers.items())
        click.echo(f"\nDoes not apply:\n{click.wrap_text(reasons, _WIDTH, '  ', '  ')}")
    print_data(advice.data)
    for left_out in advice.failed:
        click.echo(f"! {left_out.lever} could not be forecast: {left_out.reason}")


def _head(advice: Advice) -> str:
    phase = next((phase.name for phase in advice.phases if phase.binding), "")
    peak = f"the peak is in the {phase} ({advice.peak.phase})" if phase else "the peak"
    need = format_gib(advice.peak.device_bytes)
    subject = f"{advice.model.name} needs {need}"
    if advice.gpu is None:
        return f"{subject}; {peak}"
    usable = f"of {format_gib(advice.gpu.usable_bytes)} on {advice.gpu.name}"
    standing = f"{verdict_words(advice.fits, advice.confidence)}: {subject} {usable}; {peak}"
    if advice.verdict == "fits":
        return standing
    best, close = (sum(one.verdict == verdict for one in advice.advised) for verdict in ("fits", "too close to call"))
    found = f"{best} of {len(advice.advised)} changes make it fit" if best else "nothing tried makes it fit"
    return f"{standing}\n{found}" + (f"; with {close} it is too close to call" if close else "")


def _row(one: Advised) -> tuple[str, ...]:
    single = "; ".join(part for part in (one.costs[0].computation, one.costs[0].risk) if part) or f"only {one.costs[0].effort}"
    costs = single if len(one.costs) == 1 else "what both cost"
    verdict = verdict_words(one.fits, one.confidence)
    return format_gib(one.freed_bytes), format_gib(one.peak.device_bytes), verdict, one.phase, one.name, costs


def _ways(advised: list[Advised]) -> Iterator[tuple[str, str]]:
    """Yield name and code of each lever once, in the order of the table."""
    for one in advised:
        yield from zip(one.name.split(" + "), one.code)


def _difference(freed: int) -> str:
    if freed == 0:
        return "no byte less"
    return f"{format_bytes(abs(freed))} {'less' if freed > 0 else 'more'}"
