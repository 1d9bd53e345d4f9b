"""`vramcast gpus`: the cards it knows."""

from __future__ import annotations

import fnmatch

import click

from vramcast.cli.output import print_json, print_table
from vramcast.errors import UnknownNameError
from vramcast.gpu import naming
from vramcast.gpu.catalogue import load
from vramcast.gpu.spec import GpuSpec
from vramcast.units import format_gib

EXAMPLES = """\b
Examples:
  vramcast gpus
  vramcast gpus 4090
  vramcast gpus "rtx a*"
  vramcast gpus a100 --format json"""
_HEADER = ("card", "memory", "usable", "", "compute capability", "SMs")


@click.command("gpus", epilog=EXAMPLES)
@click.argument("pattern", default="")
@click.option(
    "--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", help="A table, or JSON with the source of every figure."
)
def gpus(pattern: str, form: str) -> None:
    """List the cards it knows, or those matching PATTERN.

    Usable is what a process can have: memory less what firmware, ECC and driver keep. Figures marked `measured` were read from a real
    card, the others follow from measured cards of the same kind.
    """
    cards = [card for card in load() if _matches(card, pattern)]
    if not cards:
        raise UnknownNameError("card", pattern, (naming.short_name(card.name) for card in load()), hint="`vramcast gpus` lists every card.")
    if form == "json":
        print_json(cards)
    else:
        print_table(_HEADER, (_row(card) for card in cards), numbers=("memory", "usable", "compute capability", "SMs"))


def _matches(card: GpuSpec, pattern: str) -> bool:
    if any(sign in pattern for sign in "*?["):
        return any(fnmatch.fnmatch(name.lower(), pattern.lower()) for name in (card.name, naming.short_name(card.name), *card.aliases))
    return any(naming.key(pattern) in key for key in naming.keys(card))


def _row(card: GpuSpec) -> tuple[str, ...]:
    capability = ".".join(str(number) for number in card.compute_capability or ())
    measured = "measured" if card.usable_is_measured else ""
    return card.name, format_gib(card.memory_bytes, 0), format_gib(card.usable_bytes), measured, capability or "-", str(card.sm_count or "-")
