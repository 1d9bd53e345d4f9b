"""`vramcast fit`: how far a workload can go on a card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vramcast.cli.cards import card_named, complete_gpu
from vramcast.cli.data_options import data_from, data_options, print_data
from vramcast.cli.options import workload_from, workload_options
from vramcast.cli.output import print_json, print_table
from vramcast.cli.progress import stages
from vramcast.cli.sections import SectionedCommand, SectionedOption
from vramcast.units import format_gib
from vramcast.verdict import verdict_words

if TYPE_CHECKING:
    from vramcast.solvers.limits import Figures, Fit

EXAMPLES = """\b
Examples:
  vramcast fit torchvision:resnet50 --train --precision amp-bf16 --gpu "rtx 4090"
  vramcast fit yolo11m --train --preset ultralytics --image 640 --gpu 16GiB --at-most 4000
  vramcast fit yolo11m --train --preset ultralytics --batch 16 --gpu "rtx 4090" --vary image
  vramcast fit transformers:./my-model --train --batch 4 --gpu a100-80gb --vary seq
  vramcast fit yolo11m --train --preset ultralytics --image 640 --data coco128/data.yaml --gpu "rtx 4090"
  vramcast fit torchvision:resnet50 --train --gpu t4 --format json

\b
Exit codes:
  0 something surely fits    2 wrong usage
  1 nothing surely fits      3 no forecast came about"""
_HEADER = ("", "allocated", "reserved", "process", "range", "headroom", "verdict")


@click.command("fit", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("model")
@click.option("--gpu", cls=SectionedOption, section="Card and answer", metavar="CARD", required=True, shell_complete=complete_gpu,
              help="A card (`vramcast gpus` lists them), a size such as 24GiB, or auto for the one in this machine.")  # fmt: skip
@click.option("--vary", cls=SectionedOption, section="Card and answer", type=click.Choice(["batch", "image", "seq"]), default="batch",
              show_default=True, help="What is made as large as possible.")  # fmt: skip
@click.option("--step", cls=SectionedOption, section="Card and answer", type=int, metavar="N",
              help="Sides of images are multiples of it (default: the model's stride, else 32), or lengths of sequences (1).")  # fmt: skip
@click.option("--at-most", cls=SectionedOption, section="Card and answer", type=int, metavar="N",
              help="The largest value to try, such as the number of samples in the data set.")  # fmt: skip
@click.option("--format", "form", cls=SectionedOption, section="Card and answer", type=click.Choice(["terminal", "json"]), default="terminal",
              help="terminal (the default) or json.")  # fmt: skip
@data_options
@workload_options
def fit(model: str, gpu: str, vary: Any, step: int | None, at_most: int | None, form: str, **options: Any) -> bool:
    """Find the largest batch of MODEL that fits on a card; or the largest image, or the longest sequence.

    Two answers: the largest that surely fits (the upper end of the forecast's range does), and the largest that may (the lower end
    does). Every value answered is a forecast of its own, and so are the next ones above it, since more sometimes needs less.
    """
    workload, card = workload_from(options), card_named(gpu)
    from vramcast.solvers.fit import fit as find_limits

    assert card is not None
    with stages() as progress:
        data = data_from(options, progress)
        found = find_limits(model, workload, card, vary=vary, step=step, at_most=at_most, data=data, progress=progress)
    if form == "json":
        print_json(found)
    else:
        _show(found)
    return found.surely is not None


def _show(found: Fit) -> None:
    assert found.gpu is not None
    of = f"of {found.model.name} on {found.gpu.name} ({format_gib(found.gpu.usable_bytes)} usable)"
    if found.surely is None and found.may is None:
        click.echo(f"no {found.vary} {of} fits; the smallest, {found.smallest.value}, needs {format_gib(found.smallest.device_bytes)}")
    elif found.surely is None:
        click.echo(f"no {found.vary} {of} surely fits")
    else:
        phase = f"; the peak is in the {found.binding}" if found.binding else ""
        click.echo(f"{found.vary} {found.surely.value} {of} surely fits{phase}")
    rows = [("surely fits", found.surely), ("expected to fit", found.expected), ("may fit", found.may), ("does not fit", found.beyond)]
    rows = [row for row in rows if row[1] is not None] or [("needs", found.smallest)]
    click.echo()
    print_table(("", found.vary, *_HEADER[1:]), (_row(name, shown) for name, shown in rows if shown), numbers=(found.vary, *_HEADER[1:-1]))
    print_data(found.data)
    for note in found.notes:
        click.echo(f"+ {note}")
    for caveat in found.caveats:
        click.echo(f"! {caveat.message}")


def _row(name: str, shown: Figures) -> tuple[str, ...]:
    sizes = [format_gib(size) for size in (shown.allocated_bytes, shown.reserved_bytes, shown.device_bytes)]
    span = f"{format_gib(shown.low_bytes).removesuffix(' GiB')}–{format_gib(shown.high_bytes)}"
    return name, str(shown.value), *sizes, span, format_gib(shown.headroom_bytes or 0), verdict_words(shown.fits, shown.confidence)
