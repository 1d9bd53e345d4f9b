"""`vramcast gpus`: the cards it knows, and which of them would do for a workload."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any

import click

from vramcast.cli.data_options import NAMES, data_from, data_options, print_data
from vramcast.cli.options import fields_from, workload_from, workload_options
from vramcast.cli.output import print_json, print_table
from vramcast.cli.progress import stages
from vramcast.cli.sections import SectionedCommand
from vramcast.errors import UnknownNameError, UsageError
from vramcast.gpu import naming
from vramcast.gpu.catalogue import load
from vramcast.gpu.spec import GpuSpec
from vramcast.units import format_gib
from vramcast.verdict import verdict_words

if TYPE_CHECKING:
    from vramcast.solvers.cards import CardVerdict

EXAMPLES = """\b
Examples:
  vramcast gpus
  vramcast gpus 4090
  vramcast gpus "rtx a*"
  vramcast gpus a100 --format json
  vramcast gpus --for yolo11m --train --preset ultralytics --batch 16 --image 1280
  vramcast gpus --for yolo11m --train --preset ultralytics --batch 16 --data coco128/data.yaml
  vramcast gpus "rtx *" --for torchvision:resnet50 --train --batch 256 --precision amp-bf16

\b
Exit codes with --for:
  0 a card would do    1 none would    2 wrong usage    3 no forecast came about"""
_HEADER = ("card", "memory", "usable", "", "compute capability", "SMs")


_VERDICT_HEADER = ("card", "usable", "verdict", "process", "range", "headroom")


@click.command("gpus", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("pattern", default="")
@click.option("--for", "model", metavar="MODEL", help="Say of each card whether MODEL fits on it under the workload that the options describe.")
@click.option(
    "--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", help="A table, or JSON with the source of every figure."
)
@data_options
@workload_options
def gpus(pattern: str, model: str | None, form: str, **options: Any) -> bool | None:
    """List the cards it knows, or those matching PATTERN.

    Usable is what a process can have: memory less what firmware, ECC and driver keep. Figures marked `measured` were read from a real
    card, the others follow from measured cards of the same kind.

    With --for, cards are listed with verdict and headroom: those that suffice first, the smallest at the top.
    """
    cards = [card for card in load() if _matches(card, pattern)]
    if not cards:
        raise UnknownNameError("card", pattern, (naming.short_name(card.name) for card in load()), hint="`vramcast gpus` lists every card.")
    if model is not None:
        return _judge(model, cards, form, options)
    if given := [*fields_from(options), *filter(None, (options[name] for name in ("workload_file", *NAMES)))]:
        raise UsageError(f"{', '.join(map(str, given))}: a workload says nothing of cards by itself. Name the model too: --for MODEL")
    if form == "json":
        print_json(cards)
    else:
        print_table(_HEADER, (_row(card) for card in cards), numbers=("memory", "usable", "compute capability", "SMs"))
    return None


def _judge(model: str, cards: list[GpuSpec], form: str, options: dict[str, Any]) -> bool:
    workload = workload_from(options)
    from vramcast.solvers.cards import gpus_for

    with stages() as progress:
        found = gpus_for(model, workload, cards, data=data_from(options, progress), progress=progress)
    if form == "json":
        print_json(found)
    else:
        print_table(_VERDICT_HEADER, map(_verdict_row, found.cards), numbers=("usable", "process", "range", "headroom"))
        print_data(found.data)
        for reason in dict.fromkeys(filter(None, (verdict.reason for verdict in found.cards))):
            click.echo(f"! does not run: {reason}")
    return any(verdict.fits for verdict in found.cards)


def _verdict_row(verdict: CardVerdict) -> tuple[str, ...]:
    shown = verdict.figures
    if shown is None:
        return verdict.gpu, format_gib(verdict.usable_bytes), verdict.verdict, "-", "-", "-"
    span = f"{format_gib(shown.low_bytes).removesuffix(' GiB')}–{format_gib(shown.high_bytes)}"
    sizes = (format_gib(shown.device_bytes), span, format_gib(verdict.headroom_bytes or 0))
    return verdict.gpu, format_gib(verdict.usable_bytes), verdict_words(verdict.fits, verdict.confidence), *sizes


def _matches(card: GpuSpec, pattern: str) -> bool:
    if any(sign in pattern for sign in "*?["):
        return any(fnmatch.fnmatch(name.lower(), pattern.lower()) for name in (card.name, naming.short_name(card.name), *card.aliases))
    return any(naming.key(pattern) in key for key in naming.keys(card))


def _row(card: GpuSpec) -> tuple[str, ...]:
    capability = ".".join(str(number) for number in card.compute_capability or ())
    measured = "measured" if card.usable_is_measured else ""
    return card.name, format_gib(card.memory_bytes, 0), format_gib(card.usable_bytes), measured, capability or "-", str(card.sm_count or "-")
