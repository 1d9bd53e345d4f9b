"""`vramcast timeline`: the run drawn, with its peak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vramcast.cli.cards import card_named, complete_gpu
from vramcast.cli.data_options import data_from, data_options, print_data
from vramcast.cli.options import workload_from, workload_options
from vramcast.cli.progress import stages
from vramcast.cli.sections import SectionedCommand, SectionedOption
from vramcast.reports import wording
from vramcast.reports.drawing import check_drawing
from vramcast.reports.files import check_writable

EXAMPLES = """\b
Examples:
  vramcast timeline torchvision:resnet50 --train --batch 64 --gpu "rtx 4090" -o resnet50.svg
  vramcast timeline yolo11n --train --preset ultralytics --batch 16 --image 640 --gpu 8GiB -o yolo11n.png
  vramcast timeline yolo11n --train --preset ultralytics --batch 16 --data coco128/data.yaml -o coco.svg
  vramcast timeline llama-2-7b --infer --seq 512 --new-tokens 64 --precision bf16 --gpu l4 -o llama.pdf

\b
Exit codes:
  0 it fits, or no card was named    2 wrong usage
  1 it does not fit                  3 no forecast came about"""
_ANSWER = "Card and drawing"


@click.command("timeline", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("model")
@click.option("--gpu", cls=SectionedOption, section=_ANSWER, metavar="CARD", shell_complete=complete_gpu,
              help="A card or a size, as for `estimate`; its limit is drawn as a line.")  # fmt: skip
@click.option("-o", "--output", cls=SectionedOption, section=_ANSWER, type=click.Path(path_type=Path), metavar="PATH", required=True,
              help="The file, written whole or not at all: .png, .svg or .pdf (needs the extra plots).")  # fmt: skip
@data_options
@workload_options
def timeline(model: str, gpu: str | None, output: Path, **options: Any) -> bool | None:
    """Draw the memory of MODEL event by event: what is held, by component, what is reserved, each phase, and the peak.

    MODEL is what `estimate` takes. The stack adds up to what nvidia-smi would show; where thousands of events share a pixel, the lowest
    and highest of them are drawn.
    """
    from vramcast.reports.timeline_plot import PURPOSE, save_timeline

    check_drawing(output, PURPOSE)
    check_writable(output)
    workload, card = workload_from(options), card_named(gpu)
    from vramcast.pipeline import estimate as forecast_memory

    with stages() as progress:
        forecast = forecast_memory(model, workload, card, data=data_from(options, progress), progress=progress)
        save_timeline(forecast, output)
    click.echo(wording.verdict(forecast.estimate))
    click.echo(wording.instant(forecast.estimate.peak))
    print_data(forecast.estimate.data)
    return forecast.estimate.fits
